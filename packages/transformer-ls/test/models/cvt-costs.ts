/** What the presets of CvT-LS and CvT cost, as their README has it. */
import { countMultiplyAccumulates, noGrad, recordOps, scope, zeros } from '@transformer-ls/torch';
import { createImageClassifier } from '../../src/models/vision/image-classifier.js';
import { visionPreset } from '../../src/models/vision/presets.js';

export interface ModelCost {
  readonly parameters: number;
  /** Of one image of 224 x 224. */
  readonly multiplyAccumulates: number;
}

/** Beside the paper's 20.3, 23.7, 32.1, 30.1 M and 4.9, 9.8, 7.9, 11.3 G; the published CvT: 20.0, 31.6 M and 4.5, 7.1 G. */
export const modelCosts: Readonly<Record<string, ModelCost>> = {
  'cvt-ls-13': { parameters: 20_129_720, multiplyAccumulates: 4_910_597_632 },
  'cvt-ls-17': { parameters: 23_487_320, multiplyAccumulates: 9_682_034_176 },
  'cvt-ls-21': { parameters: 31_839_656, multiplyAccumulates: 7_822_646_272 },
  'cvt-ls-21s': { parameters: 30_678_968, multiplyAccumulates: 11_107_389_952 },
  'cvt-13': { parameters: 19_997_480, multiplyAccumulates: 4_566_089_216 },
  'cvt-21': { parameters: 31_622_696, multiplyAccumulates: 7_177_985_024 },
};

/** Counted on a forward pass. */
export function modelCost(name: string): ModelCost {
  const model = createImageClassifier(visionPreset(name)).eval();
  const multiplyAccumulates = noGrad(() =>
    scope(() => {
      const image = zeros([1, 3, 224, 224]);
      return countMultiplyAccumulates(recordOps(() => scope(() => void model.forward(image))).ops);
    }),
  );
  const parameters = model.countParameters();
  model.dispose();
  return { parameters, multiplyAccumulates };
}
