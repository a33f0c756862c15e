// Configs: tables, parsing, validation, description.
export * from './configs/index.ts';
