// The OpenAI Node SDK downloads videos of the demo from every form of source, and the renderings of OpenAI's own.
//
// Usage: node download.mjs FILE MEDIA, where FILE holds what `vidgate demo` printed and MEDIA is the folder of the
// sandbox's video and stills. The last line is "N passed, N failed".

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { Tally, completed, of, readDemo, withOutcome } from '../demo.mjs';

const [file, media] = process.argv.slice(2);
const [baseURL, examples] = readDemo(file);
const client = new OpenAI({ baseURL, apiKey: 'any', maxRetries: 0, timeout: 30_000 });

async function downloads(id, name, contentType, query) {
  await completed(baseURL, id);
  const response = await client.videos.downloadContent(id, query);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), contentType);
  const bytes = Buffer.from(await response.arrayBuffer());
  assert(bytes.equals(readFileSync(join(media, name))), `${bytes.length} other bytes`);
}

async function refuses(id, status, code, query) {
  await assert.rejects(client.videos.downloadContent(id, query), (error) => {
    assert.deepEqual([error.status, error.code], [status, code]);
    return true;
  });
}

const kinds = ['openai', 'azure', 'gemini', 'vertex', 'bedrock', 'replicate', 'openrouter', 'minimax'];
const jobs = [...kinds.map((kind) => of(examples, kind)), withOutcome(of(examples, 'gemini'), '08')];
const first = jobs[0];
const cases = [
  ...jobs.map((id) => [`download ${id}`, () => downloads(id, 'video.mp4', 'video/mp4')]),
  [`thumbnail of ${first}`, () => downloads(first, 'thumbnail.webp', 'image/webp', { variant: 'thumbnail' })],
  [`spritesheet of ${first}`, () => downloads(first, 'spritesheet.jpg', 'image/jpeg', { variant: 'spritesheet' })],
  [`not ready: ${first}`, () => refuses(withOutcome(first, '11'), 409, 'video_not_ready')],
  [`no such rendering: ${first}`, () => refuses(first, 400, 'invalid_variant', { variant: 'poster' })],
];

console.log(`openai on Node ${process.version} at ${baseURL}`);
const tally = new Tally();
await tally.atOnce(cases);
tally.close();
