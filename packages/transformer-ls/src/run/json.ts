/** A value that survives being written as JSON and read back. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/**
 * Writes a JSON document, two spaces deep, with a last newline.
 *
 * Errors: TypeError naming the place of a number that JSON has no word for; it would silently come back as null.
 */
export function writeJson(value: JsonValue): string {
  refuseNonFinite(value, '');
  return `${JSON.stringify(value, null, 2)}\n`;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuseNonFinite(value: JsonValue, place: string): void {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new TypeError(`JSON cannot hold ${value} at ${place === '' ? 'the top' : place.slice(1)}`);
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) refuseNonFinite(inner, `${place}.${key}`);
}
