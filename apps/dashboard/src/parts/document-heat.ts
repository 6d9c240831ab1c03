/** Heat over the tokens of a document as parts of its text. */
import { listOpsWords } from '@transformer-ls/formats';
import type { HeatPart } from './heat-text.js';

/** Words with the mean of their bytes, from the least (0) to the most (1). */
export function heatOfBytes(text: string, heat: Float32Array): HeatPart[] {
  const words = text.match(/\s*\S+\s*$|\s*\S+/g) ?? [];
  const encoder = new TextEncoder();
  let at = 0;
  const means = words.map((word) => {
    const bytes = heat.subarray(at, at + encoder.encode(word).length);
    at += encoder.encode(word).length;
    return mean(bytes);
  });
  return parts(words, means, mean(heat));
}

/** Words of a tree of ListOps; of those that the model does not read, closing brackets or those after its end, none has heat. */
export function heatOfTree(text: string, heat: Float32Array, hasBrackets: boolean): HeatPart[] {
  const words = listOpsWords(text);
  let at = 0;
  const values = words.map((word) => (word === ']' && !hasBrackets ? undefined : heat[at++]));
  const spaced = words.map((word) => `${word} `);
  return parts(spaced, values, mean(heat));
}

function parts(
  texts: readonly string[],
  values: readonly (number | undefined)[],
  average: number,
): HeatPart[] {
  const known = values.filter((value) => value !== undefined);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  return texts.map((text, i) => {
    const value = values[i];
    if (value === undefined) return { text, weight: 0, title: 'not read by this model' };
    const weight = most > least ? (value - least) / (most - least) : 0;
    return { text, weight, title: `${(value / average).toFixed(2)} times the average` };
  });
}

function mean(values: Float32Array): number {
  return values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;
}
