// Chromium plays one job of the demo for every form in which providers keep their videos, and seeks in it.
//
// Usage: node play.mjs FOLDER CHROMIUM VIDGATE VIDEO, where FOLDER holds what `vidgate demo` printed in a file `demo`,
// and VIDEO is what the sandbox serves. The last line is "N passed, N failed".

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Tally, completed, of, readDemo, withOutcome } from '../demo.mjs';
import { withFarIndex } from './film.mjs';
import { play } from './page.mjs';

/** Where the test jumps to, in a video of four seconds. */
const SECOND = 3;

/** How a video object can name its video: by the proxy's own link, by one that anybody may follow, or as base64. */
const named = (base, id, video) => {
  const [item] = video.videos;
  if (item.type === 'base64') return 'base64';
  return item.url.startsWith(`${base}/videos/${id}/content`) ? 'own link' : 'public link';
};

/** Plays a video in a fresh profile. Returns the exchanges of the player with the proxy. */
async function plays(browser, url, size) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const responses = [];
    page.on('response', (response) => response.url() === url && responses.push(response));
    // Any page of the proxy's own will do, and there is one for whatever it does not serve.
    await page.goto(new URL('/', url).href);
    check(await page.evaluate(play, [url, SECOND]));
    const exchanges = await Promise.all(responses.map(exchange));
    assert(exchanges.length > 0, 'the player asked for nothing');
    for (const { range, status, type, start, total } of exchanges) {
      assert.equal(status, 206, `${status} for ${range}`);
      assert.match(range ?? 'none', /^bytes=\d+-/);
      assert.deepEqual([type, start, total], ['video/mp4', Number(range.match(/\d+/)[0]), size]);
    }
    return exchanges;
  } finally {
    await context.close();
  }
}

async function exchange(response) {
  const [asked, got] = await Promise.all([response.request().allHeaders(), response.allHeaders()]);
  const [, start, total] = got['content-range']?.match(/^bytes (\d+)-\d+\/(\d+)$/) ?? [];
  return { range: asked.range, status: response.status(), type: got['content-type'], start: Number(start), total: Number(total) };
}

const told = (exchanges) => exchanges.map(({ status, range }) => `${status} for ${range}`).join(', ');

/** Holds what the player saw against the video: a test card that moves, 160 by 90, four seconds. */
function check(seen) {
  const near = (value, wanted, by, what) =>
    assert(Math.abs(value - wanted) <= by, `${what}: ${value} instead of ${wanted}, ${JSON.stringify(seen)}`);
  assert.deepEqual([seen.width, seen.height], [160, 90]);
  near(seen.duration, 4, 0.1, 'duration');
  assert.deepEqual(seen.seekable, [[0, seen.duration]]);
  near(seen.sought, SECOND, 0.001, 'currentTime after seeking');
  near(seen.soughtPicture, SECOND, 0.1, 'the picture after seeking');
  assert(seen.changed > 100, `the picture is that of the start: ${JSON.stringify(seen)}`);
  near(seen.end, seen.duration, 0.05, 'currentTime at the end');
  const [start, end, ...others] = seen.played;
  assert(others.length === 0 && start && end, `played otherwise: ${JSON.stringify(seen)}`);
  near(start[0], 0, 0.05, 'where it began');
  assert(start[1] < SECOND, `it played as far as ${start[1]} s instead of jumping`);
  near(end[0], SECOND, 0.05, 'where it went on');
  near(end[1], seen.duration, 0.05, 'where it stopped');
  assert(seen.totalVideoFrames > 0 && seen.corruptedVideoFrames === 0, JSON.stringify(seen));
}

const [folder, executablePath, vidgate, file] = process.argv.slice(2);
const [base, examples] = readDemo(join(folder, 'demo'));
const size = readFileSync(file).length;
const gemini = of(examples, 'gemini');
const sources = [
  ['a content endpoint', of(examples, 'openai'), 'own link'],
  ['a link with credentials and a redirect', gemini, 'own link'],
  ['base64 in the answer', withOutcome(gemini, '08'), 'base64'],
  ['an object behind gs://', of(examples, 'vertex'), 'own link'],
  ['an object behind s3://, signed', of(examples, 'bedrock'), 'own link'],
  ['a public link', of(examples, 'replicate'), 'public link'],
];

const browser = await chromium.launch({
  executablePath,
  timeout: 60_000,
  // Machines without a graphics card, a network or an ordinary user.
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});
const tally = new Tally();
// Every wait has an end of its own; this is for the unforeseen. The browser and the proxy end with this program.
setTimeout(() => {
  console.log('gave up after 4 minutes');
  process.exit(1);
}, 240_000).unref();
try {
  console.log(`Chromium ${browser.version()} at ${base}`);
  // The jobs run while the first ones are played.
  const ready = sources.map(([, id]) => completed(base, id));
  ready.forEach((job) => job.catch(() => {}));
  await tally.inTurn(sources.map(([what, id, form], i) => [`${what}: ${id}`, async () => {
    assert.equal(named(base, id, await ready[i]), form);
    const exchanges = await plays(browser, `${base}/videos/${id}/content`, size);
    return told(exchanges);
  }]));
  await tally.inTurn([['a large file with its index at the end', () =>
    withFarIndex(vidgate, folder, file, async (url, length, sent) => {
      const exchanges = await plays(browser, url, length);
      assert(exchanges.some(({ start }) => start > length / 2), `nobody asked for the end: ${told(exchanges)}`);
      assert(sent() < length / 2, `${sent()} of ${length} bytes were fetched`);
      return `${told(exchanges)}; ${sent()} of ${length} bytes left the provider`;
    })]]);
} finally {
  await browser.close();
}
tally.close();
