/** Throws unless `xml` is one well-formed element: tags nested, attributes quoted, text free of forbidden characters. */
export function checkXml(xml: string): void {
  const token = /<(\/?)([a-z]+)((?: [A-Za-z][A-Za-z0-9:-]*="[^"<]*")*)(\/?)>|([^<]+)/gy;
  const open: string[] = [];
  let roots = 0;
  while (token.lastIndex < xml.length) {
    const at = token.lastIndex;
    const match = token.exec(xml);
    if (match === null) throw new Error(`not XML at ${at}: ${xml.slice(at, at + 60)}`);
    const [, closing, name = '', attributes, empty, text] = match;
    checkText(text ?? attributes ?? '');
    if (text !== undefined) {
      if (open.length === 0 && text.trim() !== '') throw new Error(`text outside the root: ${text}`);
    } else if (closing === '/') {
      if (open.pop() !== name) throw new Error(`</${name}> closes another element`);
    } else {
      if (open.length === 0) roots++;
      if (empty !== '/') open.push(name);
    }
  }
  if (open.length > 0 || roots !== 1) throw new Error(`${roots} roots, left open: ${open.join(' ')}`);
}

function checkText(text: string): void {
  if (/&(?!#\d+;)/.test(text)) throw new Error(`bare ampersand in ${text}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find
  if (/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]|\p{Surrogate}/u.test(text)) {
    throw new Error(`forbidden character in ${JSON.stringify(text)}`);
  }
}

/** Every coordinate of the drawing that lies outside its view box. */
export function outsidePlaces(svg: string): string[] {
  const [width, height] = (/viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg) ?? []).slice(1).map(Number);
  const outside: string[] = [];
  const check = (value: string, limit: number) => {
    if (!(Number(value) >= 0 && Number(value) <= limit)) outside.push(value);
  };
  for (const [, name, value] of svg.matchAll(/ (x|x1|x2|cx|y|y1|y2|cy)="([^"]*)"/g)) {
    check(value!, name!.includes('x') ? width! : height!);
  }
  for (const [, points] of svg.matchAll(/ points="([^"]*)"/g)) {
    for (const pair of points!.split(' ')) {
      const [x, y] = pair.split(',');
      check(x!, width!);
      check(y!, height!);
    }
  }
  return outside;
}
