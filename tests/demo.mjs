// What the tests in Node share: reading what `vidgate demo` printed, and counting. Scripts copy it to where the
// packages are installed, one folder above the tests.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

/** The base URL and the ids of the example jobs, from the curl lines. */
export function readDemo(file) {
  const calls = [...readFileSync(file, 'utf8').matchAll(/curl (http:\/\/\S+\/v1)\/videos\/(\S+)/g)];
  assert(calls.length > 0, 'the demo printed no example jobs');
  return [calls[0][1], calls.map((call) => call[2])];
}

/** The first example of a kind. */
export function of(examples, provider) {
  const id = examples.find((example) => example.endsWith(`:${provider}`));
  assert(id, `the demo printed no job of ${provider}`);
  return id;
}

/** The same job with another outcome: the last two characters before the provider's name. */
export function withOutcome(id, code) {
  const colon = id.lastIndexOf(':');
  return id.slice(0, colon - 2) + code + id.slice(colon);
}

/** The video object of a job that completes, once it has. */
export async function completed(base, id) {
  for (const start = Date.now(); Date.now() - start < 30_000; ) {
    const response = await fetch(`${base}/videos/${id}`, { signal: AbortSignal.timeout(30_000) });
    const video = await response.json();
    assert.equal(response.status, 200, JSON.stringify(video));
    if (video.status === 'completed') return video;
    assert(video.status === 'queued' || video.status === 'in_progress', JSON.stringify(video));
    await new Promise((resolve) => setTimeout(resolve, Number(response.headers.get('openai-poll-after-ms'))));
  }
  throw new Error(`${id} has not completed within 30 s`);
}

/** Runs cases, each a name and a function, and counts them. */
export class Tally {
  passed = 0;
  failed = 0;

  async atOnce(cases) {
    const results = await Promise.allSettled(cases.map(([, run]) => run()));
    results.forEach((result, index) => this.#note(cases[index][0], result));
  }

  async inTurn(cases) {
    for (const one of cases) await this.atOnce([one]);
  }

  #note(name, { status, value, reason }) {
    const isBad = status === 'rejected';
    if (isBad) this.failed += 1;
    else this.passed += 1;
    const more = isBad ? `: ${reason}` : value ? `: ${value}` : '';
    console.log(`${isBad ? 'FAILED' : 'ok    '} ${name}${more}`);
  }

  /** Prints the closing line and sets the exit status. */
  close() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    process.exitCode = this.failed > 0 || this.passed === 0 ? 1 : 0;
  }
}
