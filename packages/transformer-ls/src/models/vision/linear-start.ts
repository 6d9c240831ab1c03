import { init, Linear, type Module } from '@transformer-ls/torch';

/** Fills every Linear inside as ViL and CvT start: normal weights, truncated at ±2 (a hundred times the deviation), and no biases. */
export function startLinears(model: Module): void {
  for (const module of model.namedModules().values()) {
    if (!(module instanceof Linear)) continue;
    init.truncNormal_(module.weight, 0, 0.02);
    if (module.bias !== null) init.zeros_(module.bias);
  }
}
