/** Frame of the page: which part of it is shown, and in what light. */
import type { FunctionComponent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ReadPage } from './pages/read.js';
import { RunsPage } from './pages/runs/runs.js';
import { SeePage } from './pages/see.js';
import { WritePage } from './pages/write.js';
import { serverIsLive } from './server.js';

interface Part {
  readonly name: string;
  readonly title: string;
  readonly Page: FunctionComponent;
}

const RUNS: Part = { name: 'runs', title: 'Runs', Page: RunsPage };
const MODELS: readonly Part[] = [
  { name: 'write', title: 'Write', Page: WritePage },
  { name: 'read', title: 'Read', Page: ReadPage },
  { name: 'see', title: 'See', Page: SeePage },
];

export function App() {
  const live = useLive();
  const wanted = useHash();
  if (live === undefined) return <p class="quiet pad">Loading…</p>;
  // Without a server there are no runs to look at.
  const parts = live ? [RUNS, ...MODELS] : MODELS;
  const { Page, name: shown } = parts.find(({ name }) => name === wanted) ?? parts[0]!;
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <span class="brand">
          Transformer-LS <span class="quiet">long-short attention</span>
        </span>
        <nav aria-label="Parts of this page">
          {parts.map(({ name, title }) => (
            <a key={name} href={`#${name}`} aria-current={name === shown ? 'page' : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1}>
        <Page />
      </main>
    </>
  );
}

function useLive(): boolean | undefined {
  const [live, setLive] = useState<boolean>();
  useEffect(() => {
    void serverIsLive().then(setLive);
  }, []);
  return live;
}

/** The part that the address names. */
function useHash(): string {
  const read = () => location.hash.replace(/^#/, '').split('?', 1)[0] ?? '';
  const [hash, setHash] = useState(read);
  useEffect(() => {
    const change = () => {
      // The link that skips to the content is no part.
      if (read() === 'main') return;
      setHash(read());
      document.getElementById('main')?.focus({ preventScroll: true });
    };
    addEventListener('hashchange', change);
    return () => removeEventListener('hashchange', change);
  }, []);
  return hash;
}

type Theme = 'light' | 'dark';
const THEME_KEY = 'transformer-ls-theme';

/** What the system prefers, until somebody chooses. */
function ThemeButton() {
  const [theme, setTheme] = useState<Theme>(() => storedTheme() ?? systemTheme());
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  const other: Theme = theme === 'dark' ? 'light' : 'dark';
  const change = () => {
    setTheme(other);
    try {
      localStorage.setItem(THEME_KEY, other);
    } catch {
      // A page that may not keep anything forgets it.
    }
  };
  return (
    <button type="button" class="plain theme" onClick={change} aria-label={`Change to ${other} colours`}>
      {theme === 'dark' ? '☀' : '☾'}
    </button>
  );
}

function systemTheme(): Theme {
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

function storedTheme(): Theme | undefined {
  try {
    const stored = localStorage.getItem(THEME_KEY);
    return stored === 'light' || stored === 'dark' ? stored : undefined;
  } catch {
    return undefined;
  }
}
