/** CPU threads of commands that compute. */
import { availableParallelism } from 'node:os';
import { setNumThreads } from '@transformer-ls/torch';

/** As many as asked for, else as OMP_NUM_THREADS says, else one per core: libtorch's own choice depends on the load it meets. */
export function useThreads(asked: number | undefined): void {
  const fromEnvironment = Number.parseInt(process.env.OMP_NUM_THREADS ?? '', 10);
  setNumThreads(asked ?? (fromEnvironment > 0 ? fromEnvironment : availableParallelism()));
}
