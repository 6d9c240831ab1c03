import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildCommand, buildRoot, findBuildRoot, isInstalled, packageRoot } from '../scripts/toolchain.mjs';

const clone = join('/home/ada/transformer-ls/packages/torch');
const installed = join('/home/ada/project/node_modules/@transformer-ls/torch');
const place = (folder: string, env: NodeJS.ProcessEnv = {}, home: string | null = '/home/ada') =>
  findBuildRoot({ folder, env, home, version: '1.2.3' });

describe('the folder for builds', () => {
  it('lies beside the sources in a clone', () => {
    expect(place(clone)).toBe(join(clone, 'build'));
    expect(isInstalled(packageRoot)).toBe(false);
    expect(buildCommand).toBe('npm run setup');
    if (!process.env.TLS_BUILD_FOLDER) expect(buildRoot).toBe(join(packageRoot, 'build'));
  });

  it('lies in the cache of the user, one for each version, where the package is installed', () => {
    expect(isInstalled(installed)).toBe(true);
    expect(place(installed)).toBe('/home/ada/.cache/transformer-ls/bridge-1.2.3');
    expect(place(installed, { XDG_CACHE_HOME: '/cache' })).toBe('/cache/transformer-ls/bridge-1.2.3');
  });

  it('lies in the package for a user without a home, never in a folder that all can write', () => {
    expect(place(installed, {}, null)).toBe(join(installed, 'build'));
  });

  it('is what TLS_BUILD_FOLDER names', () => {
    const env = { TLS_BUILD_FOLDER: '/opt/bridges', XDG_CACHE_HOME: '/cache' };
    for (const folder of [clone, installed]) expect(place(folder, env)).toBe('/opt/bridges');
  });
});
