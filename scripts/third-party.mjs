/**
 * `npm run third-party`: writes THIRD-PARTY.md, what our packages bring along or install, and its licences, from package-lock.json.
 * `-- --check` only says whether the file is what would be written.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @typedef {{ version?: string, license?: string, dev?: boolean, link?: boolean, optional?: boolean }} Locked */

/** Of engines whose packages hold no licence file; the line is that of their own sources. */
const COPYRIGHT_LINES = new Map([['onnxruntime-web', 'Copyright (c) Microsoft Corporation']]);

const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.`;

const HEAD = `# Third-party software

Written by \`npm run third-party\` from package-lock.json; do not edit.

libtorch is not part of any package: it is the one you have installed, under PyTorch's licence (BSD-3-Clause).
`;

/**
 * Everything that is not for development alone. Nested copies count too; packages for one platform are there for all.
 *
 * @param {Record<string, Locked>} packages of the lock file
 * @returns {{ name: string, version: string, licence: string }[]}
 */
export function productionPackages(packages) {
  const found = new Map();
  for (const [path, { version, license, dev, link }] of Object.entries(packages)) {
    if (!path.startsWith('node_modules/') || dev || link) continue;
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    if (version === undefined || license === undefined)
      throw new Error(`package-lock.json says no version or licence of ${name}`);
    found.set(`${name}@${version}`, { name, version, licence: license });
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** @returns {string} what THIRD-PARTY.md should be */
export function thirdPartyNotices() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const rows = productionPackages(packages).map(
    ({ name, version, licence }) => `| ${name} | ${version} | ${licence} |`,
  );
  const page = JSON.parse(readFileSync(join(root, 'apps/dashboard/package.json'), 'utf8'));
  const bundled = Object.keys(page.dependencies).filter((name) => !name.startsWith('@transformer-ls/'));
  return [
    HEAD,
    '## Installed beside our packages\n',
    'Each holds its own licence. Packages for one platform, and those of onnxruntime and sharp, are installed only where they are wanted.\n',
    '| package | version | licence |\n| --- | --- | --- |',
    ...rows,
    '\n## Part of the page in `transformer-ls`\n',
    ...bundled.map((name) => `### ${name}\n\n\`\`\`\n${licenceText(name)}\n\`\`\`\n`),
  ].join('\n');
}

/** @param {string} name of an installed package */
function licenceText(name) {
  const folder = join(root, 'node_modules', name);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (file !== undefined) return readFileSync(join(folder, file), 'utf8').trim();
  const line = COPYRIGHT_LINES.get(name);
  if (line === undefined) throw new Error(`${name} holds no licence file`);
  return `MIT License\n\n${line}\n\n${MIT}`;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const path = join(root, 'THIRD-PARTY.md');
  const text = thirdPartyNotices();
  const current = existsSync(path) && readFileSync(path, 'utf8') === text;
  if (process.argv.includes('--check')) {
    if (!current)
      console.error('THIRD-PARTY.md is not what package-lock.json says; run: npm run third-party');
    process.exitCode = current ? 0 : 1;
  } else if (!current) writeFileSync(path, text);
}
