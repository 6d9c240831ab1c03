import assert from 'node:assert/strict';
import { ConfigError, exportedModelSchema, parseConfig, parseConfigText } from '../src/index.js';
import { assertRefused } from './refused.js';

/** Any text as the manifest of an exported model: refused with a `ConfigError` of one line, or complete, and no file leads out of its folder. */
export function fuzzExportedModel(data: Uint8Array): void {
  try {
    const manifest = parseConfigText(exportedModelSchema, new TextDecoder().decode(data));
    assert.deepEqual(parseConfig(exportedModelSchema, manifest), manifest);
    for (const { name } of manifest.files) assert.match(name, /^[a-z0-9][a-z0-9._-]*$/);
  } catch (error) {
    assertRefused(error, ConfigError);
  }
}
