import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { productionPackages, thirdPartyNotices } from '../third-party.mjs';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
const { packages } = JSON.parse(read('package-lock.json')) as {
  packages: Record<string, { resolved?: string; dev?: boolean; hasInstallScript?: boolean }>;
};

describe('what comes from others', () => {
  it('is in THIRD-PARTY.md as package-lock.json has it', () => {
    expect(read('THIRD-PARTY.md') === thirdPartyNotices(), 'run: npm run third-party').toBe(true);
  });

  it('has licences that may be used beside ours', () => {
    const known = ['MIT', 'ISC', '0BSD', 'Apache-2.0', 'BSD-3-Clause', 'LGPL-3.0-or-later', 'CC0-1.0'];
    const words = productionPackages(packages).flatMap(({ licence }) => licence.split(/[()]| AND | OR /));
    expect(words.filter((word) => word !== '' && !known.includes(word))).toEqual([]);
  });

  it('leaves out what is for development alone, and what is ours', () => {
    const names = productionPackages({
      '': {},
      'packages/torch': { version: '1.0.0' },
      'node_modules/@transformer-ls/torch': { link: true },
      'node_modules/vitest': { version: '4.1.12', license: 'MIT', dev: true },
      'node_modules/b': { version: '1.0.0', license: 'MIT' },
      'node_modules/b/node_modules/a': { version: '2.0.0', license: 'ISC' },
    }).map(({ name, version }) => `${name} ${version}`);
    expect(names).toEqual(['a 2.0.0', 'b 1.0.0']);
    expect(() => productionPackages({ 'node_modules/c': { version: '1.0.0' } })).toThrow(/licence of c/);
  });

  it('comes from no address that the lock file names, and runs nothing when it is installed', () => {
    const addresses = Object.values(packages).filter(({ resolved }) => resolved?.includes('://'));
    expect(addresses).toEqual([]);
    const scripted = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript);
    // Engines that are optional or of the page; neither needs its script.
    const allowed = ['node_modules/fsevents', 'node_modules/onnxruntime-node', 'node_modules/protobufjs'];
    expect(scripted.map(([path]) => path).filter((path) => !allowed.includes(path))).toEqual([]);
  });
});
