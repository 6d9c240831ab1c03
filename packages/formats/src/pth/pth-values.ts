// What the objects that torch writes become, beside the plain values of a pickle.

import type { SafetensorsDtype } from '../dtypes.js';
import {
  PickleDict,
  type PickleGlobal,
  PickleObject,
  type PickleValue,
  wrongType,
} from '../pickle-values.js';
import type { ElementType } from './element-types.js';

/** A stretch of raw numbers in the file, or a part of one. Tensors that share memory have storages of the same key. */
export class PthStorage extends PickleObject {
  constructor(
    type: PickleGlobal,
    readonly key: string,
    readonly element: ElementType,
    /** Bytes before it in the stretch of this key; not 0 only in old files. */
    readonly byteOffset: number,
    readonly byteLength: number,
    /** Where it lay when it was saved: `cpu`, `cuda:0`. */
    readonly location: string,
  ) {
    super(type, []);
  }
}

export interface TensorLayout {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Elements from one index of a dimension to the next. */
  readonly stride: readonly number[];
  /** Elements before the first one, from the start of the storage. */
  readonly offset: number;
}

/** A tensor that can be read: a view of a storage, checked to lie inside it. */
export class PthTensor extends PickleObject implements TensorLayout {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  readonly offset: number;

  constructor(
    type: PickleGlobal,
    readonly storage: PthStorage,
    layout: TensorLayout,
    readonly requiresGrad: boolean,
    /** It was an nn.Parameter. */
    readonly isParameter: boolean,
  ) {
    super(type, []);
    this.dtype = layout.dtype;
    this.shape = layout.shape;
    this.stride = layout.stride;
    this.offset = layout.offset;
  }
}

/** A tensor that is none of plain numbers: complex, quantised, sparse, without data. */
export class UnsupportedTensor extends PickleObject {
  constructor(
    type: PickleGlobal,
    /** `complex64`, `quantised`. */
    readonly kind: string,
  ) {
    super(type, []);
  }
}

/** Python's argparse.Namespace: names with values. */
export class PthNamespace extends PickleObject {
  entries = new PickleDict();

  override setState(state: PickleValue): void {
    if (!(state instanceof PickleDict)) throw wrongType('argparse.Namespace', 'a dict', state);
    this.entries = state;
  }
}
