// Opens a folder of `mnasnet export --format web` in Chromium and predicts the pictures of a folder.
//
//     node browser.mjs NODE_MODULES CHROMIUM URL IMAGES OUT.json [SCREENSHOT WIDTH HEIGHT]
//
// NODE_MODULES holds playwright-core. OUT holds what the page finds for each picture, and all addresses it asked for.

import {readFileSync, readdirSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";

const [modules, executablePath, url, images, out, screenshot, width = "1400", height = "900"] = process.argv.slice(2);
const {chromium} = createRequire(path.join(path.resolve(modules), "x.js"))("playwright-core");
const browser = await chromium.launch({executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"]});
const page = await browser.newPage({viewport: {width: Number(width), height: Number(height)}});
const asked = [], messages = [];
page.on("request", (request) => asked.push(request.url()));
page.on("console", (message) => messages.push(message.text()));
page.on("pageerror", (error) => messages.push(String(error)));
await page.goto(url);
let found = {}, status = "";
try {
  await page.waitForFunction(() => window.mnasnet || document.querySelector("#status.warn"), {timeout: 60000});
  status = await page.textContent("#status");
  const files = await page.evaluate(() => Boolean(window.mnasnet)) ? readdirSync(images).sort() : [];
  for (const name of files) {
    const data = readFileSync(path.join(images, name)).toString("base64");
    found[name] = await page.evaluate(async (encoded) => {
      const blob = await (await fetch(`data:application/octet-stream;base64,${encoded}`)).blob();
      return (await window.mnasnet.predictFile(blob)).found;
    }, data);
  }
  if (screenshot && files.length) {
    await page.setInputFiles("#file", path.join(images, files[0]));
    await page.waitForFunction(() => /ms$/.test(document.querySelector("#status").textContent));
  }
} catch (error) {
  messages.push(String(error));
}
if (screenshot) await page.screenshot({path: screenshot});
writeFileSync(out, JSON.stringify({status, found, asked, messages}));
await browser.close();
