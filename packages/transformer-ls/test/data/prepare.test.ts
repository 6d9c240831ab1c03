import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type CorpusDescriptor,
  corpora,
  corpusDescriptor,
  openCorpus,
  openPrepared,
  type PrepareOptions,
  type PrepareProgress,
  prepareCorpus,
} from '../../src/data/index.js';
import { scratchFolder } from './scratch-folder.js';
import { zipBytes } from './zip-bytes.js';

const content = Buffer.from(Array.from({ length: 10_000 }, (_, i) => `sentence ${i}.\n`).join('')).subarray(
  0,
  100_000,
);
const sha256 = createHash('sha256').update(content).digest('hex');

/** A fixed corpus of the same kind as enwik8, a thousand times smaller. */
const tiny: CorpusDescriptor = {
  ...corpusDescriptor('enwik8'),
  name: 'tiny8',
  expected: { bytes: 100_000, sha256, splitBytes: { train: 90_000, valid: 5_000, test: 5_000 } },
  downloads: [],
  localFiles: ['tiny8', 'tiny8.zip'],
};

function write(content: Uint8Array | string, name = 'source file'): string {
  const path = join(scratchFolder(), name);
  writeFileSync(path, content);
  return path;
}

/** The one line that a bad call is answered with; nothing may be left that looks finished. */
async function refusal(corpus: string | CorpusDescriptor, options: PrepareOptions): Promise<string> {
  const message = await prepareCorpus(corpus, options).then(
    () => 'nothing was refused',
    (error: Error) => `${error.name}: ${error.message}`,
  );
  expect(message).not.toContain('\n');
  const isFolder = statSync(options.folder, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const left = isFolder ? readdirSync(options.folder, { recursive: true }) : [];
  expect(left.filter((name) => String(name).includes('data.bin'))).toEqual([]);
  return message;
}

describe('a fixed corpus', () => {
  it.each([
    ['raw', content],
    ['gzip', gzipSync(content)],
    ['zip', zipBytes([{ name: 'tiny8', content }])],
  ])('is prepared from a %s file, with its splits', async (_, bytes) => {
    const folder = join(scratchFolder(), 'new folder');
    const from = write(bytes);
    const reports: PrepareProgress[] = [];
    const prepared = await prepareCorpus(tiny, {
      folder,
      from,
      onProgress: (progress) => reports.push(progress),
    });
    expect(prepared).toMatchObject({ name: 'tiny8', bytes: 100_000, sha256, source: from });
    expect(prepared.splits).toEqual({
      train: { start: 0, end: 90_000 },
      valid: { start: 90_000, end: 95_000 },
      test: { start: 95_000, end: 100_000 },
    });
    expect(readdirSync(join(folder, 'tiny8')).sort()).toEqual(['data.bin', 'prepared.json']);
    expect(content.equals(readFileSync(prepared.path))).toBe(true);
    expect(reports.at(-1)).toEqual({ stage: 'write', bytes: 100_000, total: 100_000 });
    const test = openPrepared(prepared, 'test');
    expect([test.length, test.fingerprint]).toEqual([5_000, sha256]);
    expect(Buffer.from(test.read(0, 5_000)).equals(content.subarray(95_000))).toBe(true);
    test.close();
  });

  it('is prepared once: a second call needs no source and changes nothing', async () => {
    const folder = scratchFolder();
    const from = write(content);
    const first = await prepareCorpus(tiny, { folder, from });
    rmSync(from);
    expect(await prepareCorpus(tiny, { folder, verify: true })).toEqual(first);
    const corpus = await openCorpus(tiny, 'valid', { folder });
    expect(Buffer.from(corpus.read(0, 10)).equals(content.subarray(90_000, 90_010))).toBe(true);
    corpus.close();
  });

  it('is found under its usual name in the given folders', async () => {
    const [folder, elsewhere] = [scratchFolder(), scratchFolder()];
    writeFileSync(join(elsewhere, 'tiny8.zip'), zipBytes([{ name: 'tiny8', content }]));
    // A folder of the same name is not taken for the file.
    mkdirSync(join(elsewhere, 'tiny8'));
    const prepared = await prepareCorpus(tiny, { folder, searchFolders: [elsewhere] });
    expect(prepared.source).toBe(join(elsewhere, 'tiny8.zip'));
  });

  it('says how to get what is missing', async () => {
    const folder = scratchFolder();
    expect(await refusal('text8', { folder })).toBe(
      'DataError: text8 is not prepared: pass --from <file> (text8, text8.zip, text8.gz), or --download',
    );
    expect(await refusal('wikipedia-100m', { folder, download: true })).toBe(
      'DataError: wikipedia-100m is not prepared: pass --from <file> (enwiki-plaintext-100M.txt.gz, ' +
        'enwiki-plaintext-100M.txt); there is no address to download it from',
    );
    expect(await refusal('enwik9', { folder })).toContain(
      "expected one of enwik8, text8, wikipedia-100m, text, embedded; did you mean 'enwik8'?",
    );
    expect(readdirSync(folder)).toEqual([]);
  });

  it('refuses files that are something else, and leaves nothing', async () => {
    const folder = scratchFolder();
    const other = Buffer.from(content);
    other[0] = 0;
    expect(await refusal(tiny, { folder, from: write(other) })).toMatch(
      new RegExp(
        `is not tiny8: SHA-256 [0-9a-f]{64}, expected ${sha256}; to use this text as it is, take the corpus 'text'$`,
      ),
    );
    expect(await refusal(tiny, { folder, from: write(content.subarray(1)) })).toContain(
      'holds 99999 bytes, expected the 100000 of tiny8',
    );
    expect(await refusal(tiny, { folder, from: write(Buffer.concat([content, content])) })).toContain(
      'holds more than the expected 100000 bytes',
    );
    expect(await refusal(tiny, { folder, from: write(gzipSync(content).subarray(0, 500)) })).toContain(
      'is cut short',
    );
    expect(await refusal(tiny, { folder, from: folder })).toContain('it is a folder, expected a file');
    expect(await refusal(tiny, { folder, from: join(folder, 'none') })).toContain('no such file');
    expect(await refusal(tiny, { folder, from: write('') })).toContain('is empty');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says so where the data folder cannot be one', async () => {
    expect(await refusal(tiny, { folder: write('a file'), from: write(content) })).toMatch(
      /^DataError: cannot read .*: a part of the path is a file, expected a folder$/,
    );
  });

  it('does not take a damaged preparation for a finished one', async () => {
    const folder = scratchFolder();
    const from = write(content);
    const { path } = await prepareCorpus(tiny, { folder, from });
    const record = join(folder, 'tiny8', 'prepared.json');
    const sound = readFileSync(record, 'utf8');
    const problemOf = async (verify = false) =>
      prepareCorpus(tiny, { folder, verify }).then(
        () => 'accepted',
        (error: Error) => error.message,
      );

    writeFileSync(path, Buffer.alloc(100_000));
    expect(await problemOf()).toBe('accepted');
    expect(await problemOf(true)).toContain(
      'tiny8 is not prepared, its data.bin is damaged, the SHA-256 is wrong: pass',
    );
    truncateSync(path, 99_999);
    expect(await problemOf()).toContain('its data.bin has 99999 bytes, expected 100000');
    for (const bad of ['', '{', '[]', 'null', '{}', sound.replace('"format": 1', '"format": 2')]) {
      writeFileSync(record, bad);
      expect(await problemOf()).toMatch(/its prepared.json is not/);
    }
    for (const [from_, to] of [
      ['90000', '80000'],
      [sha256, 'f'.repeat(64)],
      ['tiny8', 'text8'],
      ['"notes": {}', '"notes": {"a":"b"}'],
    ] as const) {
      writeFileSync(record, sound.replaceAll(from_, to));
      expect(await problemOf()).toContain('its prepared.json is not one of this version and corpus');
    }
    rmSync(record);
    expect(await problemOf()).toContain('tiny8 is not prepared: pass');

    expect((await prepareCorpus(tiny, { folder, from })).sha256).toBe(sha256);
    expect(await problemOf(true)).toBe('accepted');
  });

  it('leaves nothing that looks finished when it is stopped, and works the next time', async () => {
    const folder = scratchFolder();
    const controller = new AbortController();
    const from = write(content);
    const onProgress = () => controller.abort();
    expect(await refusal(tiny, { folder, from, signal: controller.signal, onProgress })).toMatch(
      /^AbortError/,
    );
    expect(readdirSync(folder)).toEqual([]);
    expect((await prepareCorpus(tiny, { folder, from })).bytes).toBe(100_000);
  });

  it('clears away what a killed process left, but not what another may still be writing', async () => {
    const folder = scratchFolder();
    mkdirSync(join(folder, 'tiny8'));
    const [old, recent] = ['data.bin.00ff.unfinished', 'data.bin.11ee.unfinished'].map((name) =>
      join(folder, 'tiny8', name),
    );
    for (const path of [old!, recent!]) writeFileSync(path, 'half');
    utimesSync(old!, 1, 1);
    await prepareCorpus(tiny, { folder, from: write(content) });
    expect([existsSync(old!), existsSync(recent!)]).toEqual([false, true]);
  });

  it('two preparations at once both end well', async () => {
    const folder = scratchFolder();
    const from = write(gzipSync(content));
    const both = await Promise.all([
      prepareCorpus(tiny, { folder, from }),
      prepareCorpus(tiny, { folder, from }),
    ]);
    expect(both.map((prepared) => prepared.sha256)).toEqual([sha256, sha256]);
    expect((await prepareCorpus(tiny, { folder, verify: true })).sha256).toBe(sha256);
  });

  it('is downloaded only when asked, from the first address that has it, and unpacked', async () => {
    const archive = zipBytes([{ name: 'tiny8', content }]);
    const server = createServer((request, response) => {
      if (request.url === '/mirror/tiny8.zip') response.end(archive);
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no port');
    const pin = { bytes: archive.length, sha256: createHash('sha256').update(archive).digest('hex') };
    const base = `http://127.0.0.1:${address.port}`;
    const downloads = [
      { url: `${base}/gone/tiny8.zip`, ...pin },
      { url: `${base}/mirror/tiny8.zip`, ...pin },
    ];
    const folder = scratchFolder();
    expect(await refusal({ ...tiny, downloads }, { folder })).toContain('or --download');
    expect(await refusal({ ...tiny, downloads: downloads.slice(0, 1) }, { folder, download: true })).toMatch(
      /^DataError: tiny8 could not be downloaded, pass --from <file> instead: http:.*gone.*the server answered 404/,
    );
    const stages = new Set<string>();
    const onProgress = ({ stage }: PrepareProgress) => void stages.add(stage);
    const prepared = await prepareCorpus({ ...tiny, downloads }, { folder, download: true, onProgress });
    expect(prepared).toMatchObject({ sha256, source: `${base}/mirror/tiny8.zip` });
    expect([...stages]).toEqual(['download', 'write']);
    expect(readdirSync(join(folder, 'tiny8')).sort()).toEqual(['data.bin', 'prepared.json']);
  });
});

describe('the text corpus', () => {
  const prose = (words: number) => Array.from({ length: words }, (_, i) => `word${i}`).join(' ');

  it('takes a file as it is, cut 90 / 5 / 5 by bytes', async () => {
    const folder = scratchFolder();
    const from = write(prose(5000), 'My Notes.txt');
    const prepared = await prepareCorpus('text', { folder, from });
    expect(readFileSync(prepared.path, 'utf8')).toBe(prose(5000));
    const { train, valid, test } = prepared.splits;
    const held = Math.floor(prepared.bytes / 20);
    expect([train.start, valid.end - valid.start, test.end - test.start]).toEqual([0, held, held]);
    expect([train.end, valid.end, test.end]).toEqual([valid.start, test.start, prepared.bytes]);
    expect(readdirSync(folder)[0]).toMatch(/^text-my-notes-txt-[0-9a-f]{8}$/);
  });

  it('unpacks a compressed text', async () => {
    const prepared = await prepareCorpus('text', {
      folder: scratchFolder(),
      from: write(gzipSync(prose(5000))),
    });
    expect(readFileSync(prepared.path, 'utf8')).toBe(prose(5000));
  });

  it('joins the text files of a folder in order and counts what it passes over', async () => {
    const source = scratchFolder();
    mkdirSync(join(source, 'b', 'deep'), { recursive: true });
    mkdirSync(join(source, 'node_modules'));
    mkdirSync(join(source, '.git'));
    const files = { 'b/deep/two': prose(2000), 'b.txt': prose(1), a: prose(3000), 'b/é': 'é' };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(source, name), text);
    writeFileSync(join(source, 'picture'), Buffer.from([137, 80, 0, 1]));
    writeFileSync(join(source, 'empty'), '');
    writeFileSync(join(source, '.hidden'), 'hidden');
    writeFileSync(join(source, '.git', 'config'), 'hidden');
    writeFileSync(join(source, 'node_modules', 'x'), 'hidden');
    symlinkSync(join(source, 'a'), join(source, 'link'));
    symlinkSync(source, join(source, 'circle'));
    const prepared = await prepareCorpus('text', { folder: scratchFolder(), from: source });
    expect(readFileSync(prepared.path, 'utf8')).toBe(
      [files.a, files['b.txt'], files['b/deep/two'], 'é'].join('\n'),
    );
    expect(prepared.notes).toEqual({
      files: 4,
      skippedBinary: 1,
      skippedLinks: 2,
      skippedSpecial: 0,
      skippedHidden: 3,
    });
  });

  it('keeps two sources apart, and notices when one changes', async () => {
    const folder = scratchFolder();
    const [one, two] = [write(prose(4000), 'x'), write(prose(5000), 'x')];
    const first = await prepareCorpus('text', { folder, from: one });
    const second = await prepareCorpus('text', { folder, from: two });
    expect(second.path).not.toBe(first.path);
    expect(await prepareCorpus('text', { folder, from: one })).toEqual(first);
    writeFileSync(one, prose(4001));
    const changed = await prepareCorpus('text', { folder, from: one });
    expect(changed.path).toBe(first.path);
    expect(changed.sha256).not.toBe(first.sha256);
    rmSync(one);
    expect(await prepareCorpus('text', { folder, from: one })).toEqual(changed);
  });

  it('refuses what is no text, or too little of it', async () => {
    const folder = scratchFolder();
    expect(await refusal('text', { folder })).toBe('DataError: text: pass --from <file or folder of text>');
    expect(await refusal('text', { folder, from: write('short') })).toBe(
      'DataError: text: 5 bytes are too few, at least 20000 are needed to hold out 5 % twice',
    );
    expect(await refusal('text', { folder, from: write(Buffer.from(prose(5000), 'utf16le')) })).toContain(
      'is not text: byte 1 is zero (UTF-16 must be turned into UTF-8 first)',
    );
    const tar = Buffer.alloc(30_000);
    tar.write('ustar', 257);
    expect(await refusal('text', { folder, from: write(gzipSync(tar)) })).toContain(
      'is a tar archive; unpack it and give the folder',
    );
    expect(await refusal('text', { folder, from: scratchFolder() })).toContain(
      'holds no text file (skipped: 0 binary, 0 links)',
    );
    expect(await refusal('text', { folder, from: join(folder, 'none') })).toContain('no such file');
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the registry', () => {
  it('pins every file of a fixed corpus and every download by size and SHA-256', () => {
    for (const { expected, downloads } of corpora) {
      if (expected) {
        const { train, valid, test } = expected.splitBytes;
        expect(train + valid + test).toBe(expected.bytes);
      }
      for (const pinned of [...downloads, ...(expected ? [expected] : [])]) {
        expect(pinned.bytes).toBeGreaterThan(0);
        expect(pinned.sha256).toMatch(/^[0-9a-f]{64}$/);
      }
    }
  });

  it('never lets wikipedia-100m pass for enwik8', () => {
    const [wikipedia, enwik8] = [corpusDescriptor('wikipedia-100m'), corpusDescriptor('enwik8')];
    expect(wikipedia.notToBeReportedAs).toContain('NOT enwik8');
    expect(wikipedia.expected?.sha256).not.toBe(enwik8.expected?.sha256);
  });

  it('refuses a split that does not exist', async () => {
    const prepared = await prepareCorpus(tiny, { folder: scratchFolder(), from: write(content) });
    const name: string = 'validation';
    // A name from a command line is not checked by the compiler.
    expect(() => openPrepared(prepared, name as 'valid')).toThrow(
      'there is no split "validation", expected one of train, valid, test',
    );
  });
});
