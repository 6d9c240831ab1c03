/** ListOps: the tables that Long Range Arena's own program writes, `basic_{train,val,test}.tsv`. */
import { ListOpsError, type ListOpsExample, parseListOps } from '@transformer-ls/formats';
import { DataError, oneLine } from '../data/errors.js';
import { fieldsOf, linesOf } from '../data/lines.js';

/** A table with the header `Source<TAB>Target`; labels are computed anew and must agree. */
export async function* listOpsOfTable(path: string): AsyncGenerator<ListOpsExample> {
  let number = 0;
  const decoder = new TextDecoder();
  for await (const line of linesOf(path)) {
    number += 1;
    const [source, target] = fieldsOf(line, 1).map((field) => decoder.decode(field));
    if (number === 1 && source === 'Source') continue;
    try {
      const example = parseListOps(source!);
      if (String(example.label) !== target)
        throw new DataError(
          `its value is ${example.label}, the label says ${target === undefined ? 'nothing' : oneLine(JSON.stringify(target))}`,
        );
      yield example;
    } catch (error) {
      if (error instanceof DataError || error instanceof ListOpsError)
        throw new DataError(`${path}: line ${number}: ${error.message}`);
      throw error;
    }
  }
}
