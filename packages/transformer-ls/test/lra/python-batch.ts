/** A batch of CIFAR-10 as Python 2 pickled it: a dict of `data`, an array of unsigned bytes (labels, 3072), and `labels`. */
export function pickledBatch(data: Uint8Array, labels: readonly number[]): Uint8Array {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(data.length);
  return Buffer.concat([
    latin1(
      '\x80\x02}q\x01(U\x04datacnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR',
    ),
    latin1(
      `(K\x01K${String.fromCharCode(labels.length)}M\x00\x0c\x86cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNN`,
    ),
    latin1('J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T'),
    size,
    data,
    latin1(`tbU\x06labels](${labels.map((label) => `K${String.fromCharCode(label)}`).join('')}eu.`),
  ]);
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}
