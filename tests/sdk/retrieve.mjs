// The OpenAI Node SDK against the demo: every example job to its end, and how asking goes wrong.
//
// Usage: node retrieve.mjs FILE, where FILE holds what `vidgate demo` printed. The last line is "N passed, N failed".

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { Tally, readDemo, withOutcome } from '../demo.mjs';

/** The SDK has no poll loop for videos, so this is the one that its users write. */
async function poll(client, id) {
  for (;;) {
    const { data: video, response } = await client.videos.retrieve(id).withResponse();
    check(video, id);
    if (video.status !== 'queued' && video.status !== 'in_progress') return video;
    const wait = response.headers.get('openai-poll-after-ms');
    assert.match(wait ?? '', /^\d+$/);
    await new Promise((resolve) => setTimeout(resolve, Number(wait)));
  }
}

/** What is promised of every video object, in whatever state. */
function check(video, id) {
  assert.equal(video.id, id);
  assert.equal(video.object, 'video');
  assert(Number.isInteger(video.progress) && video.progress >= 0 && video.progress <= 100);
  for (const field of ['seconds', 'size', 'model', 'prompt']) {
    assert(video[field] === null || typeof video[field] === 'string', field);
  }
  for (const field of ['created_at', 'completed_at', 'expires_at']) {
    assert(video[field] === null || Number.isInteger(video[field]), field);
  }
  assert.equal(video.error !== null, video.status === 'failed');
  assert.equal(video.extra_fields.provider, id.slice(id.lastIndexOf(':') + 1));
}

async function completes(client, id) {
  const video = await poll(client, id);
  assert.equal(video.status, 'completed');
  assert.equal(video.progress, 100);
  assert(video.videos.length > 0);
  assert(video.videos.every((item) => item.url || item.base64));
}

async function fails(client, id) {
  const video = await poll(client, id);
  assert.equal(video.status, 'failed');
  assert(video.error.code && video.error.message);
}

async function refuses(client, id, kind, status, code) {
  await assert.rejects(client.videos.retrieve(id), (error) => {
    assert(error instanceof kind, `${error.constructor.name} instead of ${kind.name}`);
    assert.equal(error.status, status);
    assert.equal(error.code, code);
    return true;
  });
}

const [baseURL, examples] = readDemo(process.argv[2]);
const client = new OpenAI({ baseURL, apiKey: 'any', maxRetries: 0, timeout: 30_000 });
// In any order: these leave the providers as they are.
const calm = examples.flatMap((id) => [
  [`retrieve ${id}`, () => completes(client, id)],
  [`retrieve to a failure: ${id}`, () => fails(client, withOutcome(id, '01'))],
  [`unknown: ${id}`, () => refuses(client, withOutcome(id, '44'), OpenAI.NotFoundError, 404, 'video_not_found')],
]);
calm.push(['no provider', () => refuses(client, 'video_1', OpenAI.BadRequestError, 400, 'invalid_video_id')]);
// After each of these the provider is left alone for a while, for all of its jobs.
const disturbing = examples.map((id) => [
  `rate limited: ${id}`,
  () => refuses(client, withOutcome(id, '49'), OpenAI.RateLimitError, 429, 'rate_limit_exceeded'),
]);

console.log(`openai on Node ${process.version} at ${baseURL}`);
const tally = new Tally();
await tally.atOnce(calm);
await tally.atOnce(disturbing);
tally.close();
