import assert from 'node:assert/strict';
import {
  ConfigError,
  languageModelSchema,
  parseConfig,
  parseConfigText,
  type Schema,
  trainingSchema,
} from '../src/index.js';

const SCHEMAS: Schema<unknown>[] = [languageModelSchema, trainingSchema];

/** Any text as a configuration: either refused with a `ConfigError` of one line, or complete and accepted again. */
export function fuzzConfig(data: Uint8Array): void {
  const text = new TextDecoder().decode(data);
  for (const schema of SCHEMAS) {
    try {
      const config = parseConfigText(schema, text);
      assert.deepEqual(parseConfig(schema, config), config);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      assert.match(error.message, /^.+$/);
    }
  }
}
