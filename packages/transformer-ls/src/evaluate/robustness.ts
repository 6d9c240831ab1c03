/** Accuracy of a classifier when tokens of its input are inserted or deleted, strength by strength. */
import type { ExamplePlace } from '../lra/example-batches.js';
import type { ExampleReader } from '../lra/example-set.js';
import { type Perturbation, type PerturbationKind, PerturbedExamples } from '../lra/perturb.js';
import type { SequenceClassifier } from '../models/sequence-classifier/model.js';
import { type ClassifierScores, type EvaluateClassifierOptions, evaluateClassifier } from './classifier.js';

/** What came out with one perturbation. */
export interface RobustnessPoint extends Perturbation, ClassifierScores {}

export interface EvaluateRobustnessOptions extends Omit<EvaluateClassifierOptions, 'onProgress'> {
  readonly kinds: readonly PerturbationKind[];
  /** 0 to 1, each once. */
  readonly strengths: readonly number[];
  /** Tokens that may be inserted. */
  readonly alphabet: Uint8Array;
  readonly seed: number;
  /** Examples scored so far, all perturbations together; the accuracy is that of the perturbation under way. */
  readonly onProgress?: ((done: number, accuracy: number, perturbation: Perturbation) => void) | undefined;
}

/** Passes over the data: a strength of 0 changes nothing, so that one pass serves all kinds. */
export function passesOf(kinds: readonly PerturbationKind[], strengths: readonly number[]): number {
  const changing = strengths.filter((strength) => strength > 0).length;
  return kinds.length * changing + (changing < strengths.length ? 1 : 0);
}

/**
 * Every kind at every strength, kind by kind in the order given. The model must be in evaluation mode.
 *
 * Throws the reason of `signal` where it is aborted.
 */
export async function evaluateRobustness(
  model: SequenceClassifier,
  set: ExampleReader,
  places: readonly ExamplePlace[],
  { kinds, strengths, alphabet, seed, onProgress, ...options }: EvaluateRobustnessOptions,
): Promise<RobustnessPoint[]> {
  const points: RobustnessPoint[] = [];
  let before = 0;
  const measure = async (perturbation: Perturbation): Promise<ClassifierScores> => {
    const { strength } = perturbation;
    const known = points.find((point) => point.strength === 0);
    if (strength === 0 && known !== undefined) return known;
    const examples = strength === 0 ? set : new PerturbedExamples(set, { ...perturbation, alphabet, seed });
    const scores = await evaluateClassifier(model, examples, places, {
      ...options,
      onProgress: (done, _, accuracy) => onProgress?.(before + done, accuracy, perturbation),
    });
    before += places.length;
    return scores;
  };
  for (const kind of kinds)
    for (const strength of strengths) {
      const perturbation = { kind, strength };
      points.push({ ...(await measure(perturbation)), ...perturbation });
    }
  return points;
}
