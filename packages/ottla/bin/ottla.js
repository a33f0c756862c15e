#!/usr/bin/env node
// Plain JavaScript, so that a Node.js too old for TypeScript can still say what is missing.
import module from 'node:module';
import process from 'node:process';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `Ottla needs Node.js 22.19 or newer, this is ${process.versions.node}.\n` +
      'In a clone of the repository, "npm start" and "npx ottla" bring a fitting one along.',
  );
  process.exit(1);
}
// Keeps what was compiled between runs: most of a cold start would be spent on it.
module.enableCompileCache?.();
await import('../src/main.ts');
