"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const audio = document.querySelector("audio");
const play = document.getElementById("play");
const slider = document.getElementById("at");
const table = document.querySelector("table");
const rows = [...table.tBodies[0].rows];

const clock = (seconds) => {
  const whole = Math.floor(seconds + 1e-6);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return (hours ? `${hours}:${two(minutes)}` : minutes) + ":" + two(whole % 60);
};

const draw = () => {
  const style = getComputedStyle(document.documentElement);
  const [accent, ink] = ["--accent", "--ink"].map((name) => style.getPropertyValue(name));
  for (const [c, row] of rows.entries()) {
    const canvas = row.querySelector("canvas");
    const width = (canvas.width = 1600), height = (canvas.height = 27);
    const pen = canvas.getContext("2d");
    for (const [i, scores] of data.scores.entries()) {
      const from = Math.round((data.edges[i] / data.duration) * width);
      const to = Math.max(from + 1, Math.round((data.edges[i + 1] / data.duration) * width));
      pen.globalAlpha = scores[c];
      pen.fillStyle = accent;
      pen.fillRect(from, 0, to - from, height);
      if (scores[c] >= data.thresholds[c]) {
        pen.globalAlpha = 1;
        pen.fillStyle = ink;
        pen.fillRect(from, height - 3, to - from, 3);
      }
    }
  }
};

const show = () => {
  const now = Math.min(audio.currentTime, data.duration);
  let i = data.scores.length - 1;
  while (i && data.edges[i] > now) i -= 1;
  const sounding = [];
  for (const [c, row] of rows.entries()) {
    const score = data.scores[i][c], sounds = score >= data.thresholds[c];
    row.classList.toggle("sounds", sounds);
    row.querySelector(".now").textContent = score.toFixed(2);
    if (sounds) sounding.push(data.classes[c]);
  }
  table.style.setProperty("--at", `${(100 * now) / data.duration}%`);
  slider.value = now;
  slider.setAttribute("aria-valuetext", `${clock(now)}, ${sounding.join(", ") || "nothing found"}`);
  document.getElementById("clock").textContent = `${clock(now)} / ${clock(data.duration)}`;
};

const seek = (seconds) => {
  audio.currentTime = Math.max(0, Math.min(seconds, data.duration));
  show();
};

const follow = () => {
  show();
  if (!audio.paused) requestAnimationFrame(follow);
};

play.addEventListener("click", () => (audio.paused ? audio.play() : audio.pause()));
audio.addEventListener("play", () => { play.textContent = "Pause"; follow(); });
audio.addEventListener("pause", () => { play.textContent = "Play"; show(); });
audio.addEventListener("seeked", show);
slider.addEventListener("input", () => seek(Number(slider.value)));
table.addEventListener("click", (event) => {
  const jump = event.target.closest("button[data-at]");
  if (jump) seek(Number(jump.dataset.at));
});
for (const strip of document.querySelectorAll(".strip")) {
  const move = (event) => {
    const box = strip.getBoundingClientRect();
    if (event.buttons & 1) seek(((event.clientX - box.left) / box.width) * data.duration);
  };
  strip.addEventListener("pointerdown", move);
  strip.addEventListener("pointermove", move);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

audio.controls = false;
document.querySelector(".player").hidden = false;
draw();
show();
