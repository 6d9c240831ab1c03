/** A text to begin with, which goes with what the chosen model was trained on, until the person writes one. */
import type { ModelSummary } from '@transformer-ls/formats';
import { useState } from 'preact/hooks';

const TREE =
  '[MAX 4 [MIN 7 5 [SM 8 9 3 ] 6 ] 1 [MED 2 9 [MAX 3 5 0 ] 8 1 ] [SM 5 [MIN 8 9 ] 4 7 ] 9 [MED 6 2 3 ] 5 ]';

const EXAMPLES: Readonly<Record<string, string>> = {
  embedded: 'export interface ',
  listops: TREE,
  'listops-brackets': TREE,
};

const USUAL: Readonly<Record<ModelSummary['kind'], string>> = {
  'language-model': 'The history of the city begins with',
  'text-classifier':
    'I went in expecting very little. The first twenty minutes are slow, and the music is far too loud. But then the story turns, and from there on I could not look away: the actors are wonderful together, the camera is patient, and the ending is one of the most moving I have seen in years. Do not leave before it. A small, warm, clever film that I will watch again.',
  'image-classifier': '',
};

export function useExample(chosen: ModelSummary | undefined): [string, (text: string) => void] {
  const [own, setOwn] = useState<string>();
  return [own ?? exampleOf(chosen), setOwn];
}

function exampleOf(model: ModelSummary | undefined): string {
  return model === undefined ? '' : (EXAMPLES[model.data ?? ''] ?? USUAL[model.kind]);
}
