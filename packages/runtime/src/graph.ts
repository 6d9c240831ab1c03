/** One graph of a model, ready to run. */
import type { ReadyEngine, Session, Tensor, TensorData } from './engine.js';
import { engineError, RuntimeError } from './errors.js';
import type { ModelFiles } from './model-files.js';
import { checkGraphFiles } from './onnx/graph-files.js';

export type Values = Readonly<Record<string, Tensor>>;

/** Weights that graphs share lie in a file of this name. */
export const WEIGHTS_FILE = 'weights.bin';

export class Graph {
  private released = false;

  private constructor(
    private readonly name: string,
    private readonly session: Session,
    private readonly ready: ReadyEngine,
  ) {}

  /** @throws RuntimeError where the file asks for files that are none of the model's, or the engine cannot make anything of it */
  static async create(ready: ReadyEngine, { files }: ModelFiles, name: string): Promise<Graph> {
    const model = files.get(name);
    if (model === undefined) throw new RuntimeError('damaged', `the manifest names no file ${name}`);
    const weights = files.get(WEIGHTS_FILE);
    const externalData = weights === undefined ? [] : [{ path: WEIGHTS_FILE, data: weights }];
    checkGraphFiles(name, model, new Set(externalData.map(({ path }) => path)));
    try {
      const session = await ready.engine.InferenceSession.create(model, { ...ready.session, externalData });
      return new Graph(name, session, ready);
    } catch (error) {
      throw engineError(`${name} cannot be loaded`, error);
    }
  }

  /**
   * @param feeds what the graph does not read is left out
   * @param wanted names of results
   */
  async run(feeds: Values, wanted: readonly string[]): Promise<Values> {
    if (this.released) throw new RuntimeError('disposed', 'this model was disposed');
    const read = Object.entries(feeds).filter(([name]) => this.session.inputNames.includes(name));
    try {
      return await this.session.run(Object.fromEntries(read), [...wanted]);
    } catch (error) {
      throw engineError(`${this.name} cannot be run`, error);
    }
  }

  get resultNames(): readonly string[] {
    return this.session.outputNames;
  }

  tensor(type: string, data: TensorData, dims: readonly number[]): Tensor {
    return new this.ready.engine.Tensor(type, data, dims);
  }

  /** Zeros for each input that is not in `except`, for a batch of one. */
  emptyInputs(except: readonly string[]): Record<string, Tensor> {
    const inputs = this.session.inputMetadata.filter(({ name }) => !except.includes(name));
    return Object.fromEntries(
      inputs.map((input) => {
        if (!input.isTensor)
          throw new RuntimeError('damaged', `${this.name}: input ${input.name} is no tensor`);
        const dims = input.shape.map((size) => (typeof size === 'number' ? size : 1));
        const count = dims.reduce((a, b) => a * b, 1);
        const data = input.type === 'int64' ? new BigInt64Array(count) : new Float32Array(count);
        return [input.name, this.tensor(input.type, data, dims)];
      }),
    );
  }

  async release(): Promise<void> {
    if (this.released) return;
    this.released = true;
    await this.session.release();
  }
}
