/** 1 to 249 letters, digits, `.`, `_` and `-`; not `.` or `..`. */
export function isValidTopicName(name: string): boolean {
  return /^[a-zA-Z0-9._-]{1,249}$/.test(name) && name !== '.' && name !== '..';
}
