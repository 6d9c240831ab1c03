/** Whether the processes that train together still have the same model. */
import { type Module, noGrad, operator, scope, type Tensor } from '@transformer-ls/torch';
import type { Ranks } from './ranks.js';
import { TrainingError } from './training-error.js';

const asDtype = operator('aten::view.dtype');

/** @throws TrainingError, in every process, where one's weights are others: what is trained would be no single model any more */
export function refuseDifferentWeights(model: Module, ranks: Ranks, step: number): void {
  if (ranks.share.world === 1) return;
  const sums = ranks.each([checksum(model)]).map(([sum]) => sum!);
  const other = sums.findIndex((sum) => sum !== sums[0]);
  if (other < 0) return;
  throw new TrainingError(
    `step ${step}: the weights of rank ${other} differ from those of rank 0; a process computes otherwise, as machines of different kinds may`,
  );
}

/** Of the bits, as whole numbers: whatever the order in which they are added, the sum is the same. */
function checksum(model: Module): number {
  const sum = (parameter: Tensor) => {
    const { dtype } = parameter;
    const whole = dtype === 'float64' ? 'int64' : dtype === 'float32' ? 'int32' : 'int16';
    return Number(asDtype(parameter.detach().contiguous(), whole).sum().item());
  };
  return noGrad(() =>
    model.parameters().reduce((total, one) => (total + scope(() => sum(one))) % MODULUS, 0),
  );
}

const MODULUS = 2 ** 52;
