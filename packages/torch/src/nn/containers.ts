/** Modules in a row, named `0`, `1`, … */
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';

/** A module that makes one tensor of one tensor. */
export interface Layer extends Module {
  forward(x: Tensor): Tensor;
}

/** A list of modules; its owner decides how they are called. */
export class ModuleList<M extends Module = Module> extends Module implements Iterable<M> {
  private readonly items: readonly M[];

  constructor(modules: readonly M[]) {
    super();
    this.items = modules.map((module, index) => this.child(String(index), module));
  }

  get length(): number {
    return this.items.length;
  }

  /** Negative counts from the last. */
  at(index: number): M | undefined {
    return this.items.at(index);
  }

  [Symbol.iterator](): Iterator<M> {
    return this.items[Symbol.iterator]();
  }
}

/** Layers applied one after the other. */
export class Sequential extends ModuleList<Layer> {
  forward(x: Tensor): Tensor {
    let result = x;
    for (const layer of this) result = layer.forward(result);
    return result;
  }
}
