// A film that cannot be played without parts of it: its index lies at the end, behind far more than a player reads on
// the way. Served by a provider of our own, behind a proxy of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable, pipeline } from 'node:stream';

// Far more than players read ahead where they are given the time: a hundred megabytes were seen.
const GAP = 1 << 30;

/** Boxes of an MP4 file (ISO/IEC 14496-12) by their names: a length, a name, what is in it. */
function boxes(bytes) {
  const found = {};
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    found[bytes.toString('latin1', at + 4, at + 8)] ??= bytes.subarray(at, at + length);
    at += length;
  }
  return found;
}

/** The video with its samples first, then nothing for a long while, then the index. */
class Film {
  /** How many bytes were handed out. */
  sent = 0;

  constructor(file) {
    const bytes = readFileSync(file);
    const { ftyp, moov, mdat } = boxes(bytes);
    const gap = Buffer.alloc(8);
    gap.writeUInt32BE(GAP + 8);
    gap.write('free', 4, 'latin1');
    this.before = Buffer.concat([ftyp, mdat, gap]);
    this.index = Buffer.from(moov);
    this.total = this.before.length + GAP + this.index.length;
    // The index says where in the file the samples lie, which is elsewhere now.
    const moved = ftyp.length - bytes.indexOf(mdat);
    const table = this.index.indexOf('stco');
    for (let i = 0; i < this.index.readUInt32BE(table + 8); i += 1) {
      const at = table + 12 + 4 * i;
      this.index.writeUInt32BE(this.index.readUInt32BE(at) + moved, at);
    }
  }

  /** The bytes from `start` up to `end`, the gap made up as it goes. */
  *slice(start, end) {
    const zeros = Buffer.alloc(64 << 10);
    for (let at = start; at < end; ) {
      const index = this.total - this.index.length;
      let piece = zeros.subarray(0, Math.min(zeros.length, index - at));
      if (at < this.before.length) piece = this.before.subarray(at);
      if (at >= index) piece = this.index.subarray(at - index);
      piece = piece.subarray(0, end - at);
      at += piece.length;
      this.sent += piece.length;
      yield piece;
    }
  }
}

/** A provider with one finished job of Replicate's form. */
function provider(film) {
  return createServer((request, response) => {
    if (request.url !== '/film.mp4') {
      const output = `http://${request.headers.host}/film.mp4`;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ id: 'film', status: 'succeeded', output }));
      return;
    }
    const [, from, to] = request.headers.range?.match(/^bytes=(\d+)-(\d*)$/) ?? [];
    const start = Number(from ?? 0);
    const end = to ? Math.min(Number(to) + 1, film.total) : film.total;
    response.writeHead(from ? 206 : 200, {
      'content-type': 'video/mp4', 'accept-ranges': 'bytes', etag: '"film"', 'content-length': end - start,
      ...(from && { 'content-range': `bytes ${start}-${end - 1}/${film.total}` }),
    });
    // Players leave when they have what they need, so it need not end well.
    pipeline(Readable.from(film.slice(start, end)), response, () => {});
  });
}

/** Calls `use` with the film's URL at the proxy, its length and how many bytes of it the provider has sent so far. */
export async function withFarIndex(vidgate, folder, file, use) {
  const film = new Film(file);
  const server = provider(film).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${server.address().port}`;
  const config = join(folder, 'film.yaml');
  writeFileSync(config, [
    'listen: 127.0.0.1:0', 'admin: null', 'providers:', '  replicate:', `    base_url: http://${address}/v1`,
    '    credentials: {api_key: any}', `    content: {allow_hosts: ["${address}"]}`, '',
  ].join('\n'));
  const proxy = spawn(vidgate, ['serve', '--config', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  const stop = () => proxy.kill('SIGINT');
  process.on('exit', stop);
  try {
    const url = `http://${await listening(proxy)}/v1/videos/film:replicate/content`;
    return await use(url, film.total, () => film.sent);
  } finally {
    process.off('exit', stop);
    if (proxy.exitCode === null && stop()) await once(proxy, 'exit');
    server.closeAllConnections();
    server.close();
  }
}

/** The address in the proxy's log, once it is there. */
const listening = (proxy) =>
  new Promise((resolve, reject) => {
    const said = [];
    createInterface({ input: proxy.stderr }).on('line', (line) => {
      said.push(line);
      const [, address] = line.match(/"message":"listening","address":"([^"]+)"/) ?? [];
      if (address) resolve(address);
    });
    proxy.once('error', reject);
    proxy.once('exit', () => reject(new Error(`the proxy ended: ${said.join('\n')}`)));
  });
