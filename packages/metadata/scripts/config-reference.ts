/** Prints docs/configs.md: `node packages/metadata/scripts/config-reference.ts > docs/configs.md`. */
import { configReference } from '../src/configs/config-reference.ts';

process.stdout.write(configReference());
