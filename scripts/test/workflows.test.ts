// The workflows run elsewhere; what can be said of them here: they are YAML, run nothing that can change unseen, hold no secrets.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { ORDER, ownPackages, PublishError, plan, publishesByTrust } from '../publish.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = join(root, '.github/workflows');
const names = readdirSync(folder);

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly steps: readonly Step[];
        readonly permissions?: Readonly<Record<string, string>>;
        readonly needs?: string;
        readonly if?: string;
        readonly environment?: string;
      }
    >
  >;
}

const text = (name: string) => readFileSync(join(folder, name), 'utf8');
const workflow = (name: string) => parse(text(name)) as Workflow;
const scripts = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts as object;

describe.each(names)('%s', (name) => {
  const { permissions, jobs } = workflow(name);
  const steps = Object.values(jobs).flatMap((job) => job.steps);

  it('runs actions of others by a whole hash, with the version beside it', () => {
    const used = [...text(name).matchAll(/uses: (.*)$/gm)].map(([, what]) => what);
    expect(used).toHaveLength(steps.filter(({ uses }) => uses !== undefined).length);
    for (const what of used) expect(what).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  it('holds no secrets, and keeps no credentials where later steps could read them', () => {
    expect(text(name)).not.toMatch(/secrets\.|[A-Z]_TOKEN/);
    for (const { uses, with: settings } of steps)
      if (uses?.startsWith('actions/checkout@')) expect(settings?.['persist-credentials']).toBe(false);
    expect(Object.values(permissions).filter((what) => what !== 'read')).toEqual([]);
  });

  it('puts nothing that strangers write into a command', () => {
    for (const { run } of steps) expect(run ?? '').not.toContain('${{');
  });

  it('runs scripts that there are', () => {
    for (const { run } of steps)
      for (const [, script] of (run ?? '').matchAll(/npm run ([\w:-]+)/g))
        expect(scripts).toHaveProperty([script!]);
  });
});

describe('publishing', () => {
  const { on, jobs } = workflow('publish.yml');

  it('is started by a tag, and by hand says what it would do', () => {
    expect(Object.keys(on)).toEqual(['push', 'workflow_dispatch']);
    expect(on.push).toEqual({ tags: ['v[0-9]+.[0-9]+.[0-9]+'] });
    expect(jobs.publish).toMatchObject({
      if: "github.event_name == 'push'",
      needs: 'pack',
      environment: 'npm',
    });
    expect(jobs['dry-run']).toMatchObject({ if: "github.event_name == 'workflow_dispatch'", needs: 'pack' });
    expect(jobs['dry-run']!.steps.at(-1)!.run).toContain('--dry-run');
  });

  it('is trusted in one job alone, which installs nothing', () => {
    const trusted = Object.entries(jobs).filter(
      ([, { permissions }]) => permissions?.['id-token'] === 'write',
    );
    expect(trusted.map(([name]) => name)).toEqual(['publish']);
    expect(jobs.publish!.steps.flatMap(({ run }) => run ?? [])).toEqual([
      'node scripts/publish.mjs packed --tag "$GITHUB_REF_NAME"',
    ]);
  });

  it('needs an npm that knows how', () => {
    expect(['11.5.1', '11.5.2', '11.6.0', '12.0.0'].map(publishesByTrust)).toEqual(Array(4).fill(true));
    expect(['11.5.0', '11.4.9', '10.9.3', '9.99.99'].map(publishesByTrust)).toEqual(Array(4).fill(false));
  });
});

describe('what is published', () => {
  const packages = ownPackages();
  const version = packages[0]!.version;
  const files = [
    'transformer-ls-formats',
    'transformer-ls-torch',
    'transformer-ls-runtime',
    'transformer-ls',
  ];

  function packed(names: readonly string[]): string {
    const path = mkdtempSync(join(tmpdir(), 'tls publish '));
    onTestFinished(() => rmSync(path, { recursive: true }));
    for (const name of names) writeFileSync(join(path, `${name}-${version}.tgz`), '');
    return path;
  }

  it('is each package after those that it needs', () => {
    const path = packed(files);
    expect(plan(path, `v${version}`, packages).map(({ file }) => file)).toEqual(
      files.map((name) => join(path, `${name}-${version}.tgz`)),
    );
    const known = new Set<string>();
    for (const name of ORDER) {
      const { name: full, dependencies = {} } = JSON.parse(
        readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'),
      ) as { name: string; dependencies?: object };
      const ours = Object.keys(dependencies).filter((one) => packages.some((own) => own.name === one));
      expect([...known]).toEqual(expect.arrayContaining(ours));
      known.add(full);
    }
  });

  it('is of the version of the tag, whole, and nothing else', () => {
    const refusal = (run: () => unknown) => {
      expect(run).toThrow(PublishError);
      return run;
    };
    expect(refusal(() => plan(packed(files), 'v9.9.9', packages))).toThrow(
      `the tag is v9.9.9, but @transformer-ls/formats is at version ${version}`,
    );
    expect(refusal(() => plan(packed(files.slice(1)), `v${version}`, packages))).toThrow('is not there');
    expect(refusal(() => plan(packed([...files, 'other']), `v${version}`, packages))).toThrow(
      'holds 5 packages, expected 4',
    );
  });
});
