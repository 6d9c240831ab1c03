import assert from 'node:assert/strict';
import {
  ConfigError,
  modelSchema,
  parseConfig,
  parseConfigText,
  type Schema,
  trainingSchema,
} from '../src/index.js';
import { assertRefused } from './refused.js';

const SCHEMAS: Schema<unknown>[] = [modelSchema, trainingSchema];

/** Any text as a configuration of any kind: either refused with a `ConfigError` of one line, or complete and accepted again. */
export function fuzzConfig(data: Uint8Array): void {
  const text = new TextDecoder().decode(data);
  for (const schema of SCHEMAS) {
    try {
      const config = parseConfigText(schema, text);
      assert.deepEqual(parseConfig(schema, config), config);
    } catch (error) {
      assertRefused(error, ConfigError);
    }
  }
}
