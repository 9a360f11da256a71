// What happens inside the browser.

/** Plays the start of a video, seeks to `second` and plays on to the end. Runs in a page and tells what it saw. */
export async function play([src, second]) {
  const video = document.createElement('video');
  const patience = 15_000;

  /** Waits for an event, or with `isIt` for the first of them that fits. */
  const until = (what, isIt = () => true) =>
    new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`${why} while waiting for ${what} at ${video.currentTime} s`));
      video.addEventListener(what, () => isIt() && resolve());
      video.addEventListener('error', () => fail(video.error.message || `media error ${video.error.code}`));
      setTimeout(fail, patience, `nothing for ${patience} ms`);
    });

  /** Waits for a picture at or after this second to be on the screen, and tells where in the video it is. */
  const shown = (from) =>
    new Promise((resolve, reject) => {
      const look = (_, picture) =>
        picture.mediaTime >= from ? resolve(picture.mediaTime) : video.requestVideoFrameCallback(look);
      video.requestVideoFrameCallback(look);
      setTimeout(reject, patience, new Error(`no picture from ${from} s on within ${patience} ms`));
    });

  /** The picture that is on the screen. Only a page of the video's own origin may read it. */
  const picture = () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height).data;
  };

  video.muted = true;
  video.preload = 'auto';
  const first = Promise.all([until('canplay'), shown(0)]);
  video.src = src;
  document.body.replaceChildren(video);
  await first;
  const atStart = picture();

  // Slowly, so that even a busy machine stops long before `second`.
  video.playbackRate = 0.25;
  const begun = until('timeupdate', () => video.currentTime > 0.1);
  await video.play();
  await begun;
  video.pause();
  video.playbackRate = 1;

  const there = Promise.all([until('seeked'), shown(second - 0.1)]);
  video.currentTime = second;
  const [, soughtPicture] = await there;
  const sought = video.currentTime;
  const later = picture();
  const changed = later.filter((value, i) => Math.abs(value - atStart[i]) > 32).length;

  const ended = until('ended');
  await video.play();
  await ended;

  const spans = (ranges) => Array.from({ length: ranges.length }, (_, i) => [ranges.start(i), ranges.end(i)]);
  const { videoWidth: width, videoHeight: height, duration, currentTime: end } = video;
  const { totalVideoFrames, corruptedVideoFrames } = video.getVideoPlaybackQuality();
  return {
    width, height, duration, sought, soughtPicture, changed, end,
    played: spans(video.played), seekable: spans(video.seekable), totalVideoFrames, corruptedVideoFrames,
  };
}
