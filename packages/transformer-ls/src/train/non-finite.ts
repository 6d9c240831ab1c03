import { type Module, noGrad, scope, type Tensor } from '@transformer-ls/torch';

const SHOWN_NAMES = 5;

/** Which parameters and gradients of a model hold NaN or infinity, in words. */
export function describeNonFinite(model: Module): string {
  const parameters = namesWhere(model, (parameter) => parameter);
  if (parameters.length > 0) return `not finite: parameters ${listed(parameters)}`;
  const gradients = namesWhere(model, (parameter) => parameter.grad);
  if (gradients.length > 0) return `parameters are finite, not so the gradients of ${listed(gradients)}`;
  return 'parameters and gradients are finite';
}

function namesWhere(model: Module, pick: (parameter: Tensor) => Tensor | null): string[] {
  const isBroken = (value: Tensor | null) => value !== null && value.isfinite().all().item() === 0;
  return [...model.namedParameters()]
    .filter(([, parameter]) => noGrad(() => scope(() => isBroken(pick(parameter)))))
    .map(([name]) => name);
}

function listed(names: readonly string[]): string {
  const rest = names.length > SHOWN_NAMES ? ` and ${names.length - SHOWN_NAMES} more` : '';
  return `${names.slice(0, SHOWN_NAMES).join(', ')}${rest}`;
}
