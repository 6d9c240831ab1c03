/** Files of torch.save: programs for Python's unpickler, and lies about tensors. */
import {
  call,
  global,
  integer,
  legacyFile,
  named,
  raw,
  storage,
  tensor,
  text,
  zipArchive,
  zipFile,
} from '../packages/formats/test/pth-writer.js';
import { type Attack, file } from './attack.js';

const command = call(global('posix', 'system'), text('touch owned'));
const imported = ['import', '@/model.pth', '--out', '@/out'];
const numbers = { key: '0', elements: 4, data: new Uint8Array(16) };

const pth = (name: string, tries: string, refusal: RegExp, content: () => Uint8Array): Attack => ({
  name,
  tries,
  files: file('model.pth', content),
  command: imported,
  refusal,
});

export const pickleAttacks: readonly Attack[] = [
  pth('pickle-command', 'a call of os.system where the weights should be', /posix\.system/, () =>
    zipFile(command),
  ),
  pth('pickle-command-among-weights', 'the same beside a sound tensor', /./, () =>
    zipFile(named({ weight: tensor(storage('Float', '0', 4), [4], [1]), hook: command }), [numbers]),
  ),
  pth('pickle-nested-calls', 'calls as arguments of calls, 5,000 deep', /./, () =>
    zipFile(`${'cbuiltins\neval\n('.repeat(500)}N${'tR'.repeat(500)}`),
  ),
  pth('pickle-legacy-command', 'the call in the format before torch 1.6', /./, () => legacyFile(command)),
  pth(
    'pickle-doubling',
    'a tuple of itself twice, 60 times: 2^60 values',
    /at most 4194304 values|levels/,
    () => zipFile(`N${'2\x86'.repeat(60)}`),
  ),
  pth('pickle-many-marks', 'lists that are begun and never ended', /at most 1000 open marks/, () =>
    zipFile('('.repeat(5000)),
  ),
  pth('pickle-many-values', 'five million values on the stack', /at most \d+ values on the stack/, () =>
    zipFile('N'.repeat(5_000_000)),
  ),
  pth('pickle-memo', 'two million places of the memo', /at most \d+ values in the memo/, () =>
    zipFile(`N${'\x94'.repeat(2 ** 20 + 1)}`),
  ),
  pth('pickle-huge-number', 'a whole number of 2 GB', /a whole number has 2147483647 bytes/, () =>
    zipFile('\x8b\xff\xff\xff\x7f'),
  ),
  pth('pickle-huge-text', 'a text of 4 GB', /a text has 4294967295 bytes/, () =>
    zipFile('X\xff\xff\xff\xff'),
  ),
  pth('pth-storage-lie', 'a storage of 2^50 numbers in a record of 16 bytes', /expected \d+ bytes for/, () =>
    zipFile(named({ weight: tensor(storage('Float', '0', 2n ** 50n), [4], [1]) }), [numbers]),
  ),
  pth('pth-stride-0', 'a view that repeats one number 2^40 times', /./, () =>
    zipFile(named({ weight: tensor(storage('Float', '0', 4), [2n ** 40n], [0]) }), [numbers]),
  ),
  pth('pth-outside', 'a view that begins behind its storage, to read other memory', /needs \d+ bytes/, () =>
    zipFile(named({ weight: tensor(storage('Float', '0', 4), [4], [1], 2n ** 40n) }), [numbers]),
  ),
  pth('pth-shape-overflow', 'sizes whose product is 0 in 64 bits', /at most 2\^53 - 1 bytes/, () =>
    zipFile(named({ weight: tensor(storage('Float', '0', 4), [2n ** 32n, 2n ** 32n], [0, 0]) }), [numbers]),
  ),
  pth('pth-negative-count', 'a storage with a negative number of elements', /./, () =>
    zipFile(named({ weight: tensor(storage('Float', '0', -4), [4], [1]) }), [numbers]),
  ),
  pth('zip-overlap', 'two records over the same bytes', /an overlap/, () =>
    zipArchive([
      { name: 'a/data.pkl', data: raw('\x80\x02N.') },
      { name: 'a/version', data: raw('3\n'), central: { offset: 0 } },
    ]),
  ),
  pth('zip-traversal', 'a record with a name that leads out of the folder', /plain relative path/, () =>
    zipArchive([{ name: '../../data.pkl', data: raw('\x80\x02N.') }]),
  ),
  pth('zip-packed', 'a record that says it unpacks to 4 GB', /stored entry|bytes/, () =>
    zipArchive([
      { name: 'a/data.pkl', data: raw('\x80\x02N.'), central: { method: 8, unpackedSize: 4_000_000_000 } },
    ]),
  ),
  pth('zip-many-entries', 'an end that counts 4 billion entries', /./, () =>
    zipArchive([{ name: 'a/data.pkl', data: raw('\x80\x02N.') }], { count: 2n ** 32n, zip64: true }),
  ),
  pth('zip-huge-offset', 'a directory that begins at 2^63', /./, () =>
    zipArchive([{ name: 'a/data.pkl', data: raw('\x80\x02N.') }], { offset: 2n ** 63n, zip64: true }),
  ),
  pth('zip-checksum', 'a pickle whose checksum is another', /checksum/, () =>
    zipArchive([
      { name: 'a/data.pkl', data: raw('\x80\x02N.'), central: { crc: 1 } },
      { name: 'a/version', data: raw('3\n') },
    ]),
  ),
  {
    name: 'pickle-in-batch',
    tries: 'a call of os.system in a batch of CIFAR-10',
    files: file('cifar-10-batches-py/data_batch_1', () => raw(`\x80\x02${command}.`)),
    command: ['prepare', 'cifar10', '--from', '@/cifar-10-batches-py', '--data-folder', '@/out'],
    refusal: /posix\.system|holds no|not allowed/,
  },
  pth('pickle-integer-keys', 'a dict with more keys than a program would write, all the same', /./, () =>
    zipFile(`}(${`${integer(1)}N`.repeat(100_000)}u`),
  ),
];
