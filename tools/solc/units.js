// Compiles each contract file by itself, with exactly the sources that it imports, on every core, and remembers the
// results. Code generation through the IR takes seconds a contract in npm's compiler, and an edit usually concerns few.
//
// A result is remembered under a hash of all that the compiler was given: version, settings and the text of each
// source. Nothing else can influence it, because each file is compiled with nothing else in sight.
"use strict";

const crypto = require("crypto");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");

const IMPORT = /^\s*import\b[^"';]*["']([^"']+)["']/gm;
const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
const CONTRACT = /^\s*(abstract\s+)?contract\s/m;
const KEEP_DAYS = 14;

// Only a job that generates code for named files is worth splitting, and syntax trees agree with each other only
// within one compilation.
function canSplit(input) {
  const selection = input.settings?.outputSelection ?? {};
  const wanted = Object.values(selection).flatMap((contracts) => Object.values(contracts).flat());
  return !("*" in selection) && wanted.some((output) => output.startsWith("evm.bytecode")) && !input.settings.remappings;
}

function textOf(name, input, read) {
  const content = input.sources[name]?.content;
  return content ?? read(name).contents;
}

// A file and everything that it imports, by source name. A missing import is left for the compiler to complain about.
function closure(names, input, read) {
  const found = {};
  const open = [...names];
  while (open.length > 0) {
    const name = open.pop();
    const text = name in found ? undefined : textOf(name, input, read);
    if (text === undefined) continue;
    found[name] = { content: text };
    for (const [, imported] of text.replace(COMMENT, "").matchAll(IMPORT)) {
      open.push(imported.startsWith(".") ? path.posix.join(path.posix.dirname(name), imported) : imported);
    }
  }
  return Object.fromEntries(Object.keys(found).sort().map((name) => [name, found[name]]));
}

function makeUnit(files, input, read, version) {
  const outputSelection = Object.fromEntries(files.map((file) => [file, input.settings.outputSelection[file]]));
  const sources = closure(files, input, read);
  const job = JSON.stringify({ language: input.language, sources, settings: { ...input.settings, outputSelection } });
  const key = crypto.createHash("sha256").update(version).update("\0").update(job).digest("hex");
  return { files, job, key };
}

// One unit for each file with a contract; one for all the rest, whose code is trivial.
function units(input, read, version) {
  const files = Object.keys(input.settings.outputSelection);
  const own = files.filter((file) => CONTRACT.test((textOf(file, input, read) ?? "").replace(COMMENT, "")));
  const rest = files.filter((file) => !own.includes(file));
  return [...own.map((file) => [file]), rest]
    .filter((group) => group.length > 0)
    .map((group) => makeUnit(group, input, read, version))
    .sort((a, b) => b.job.length - a.job.length); // the long ones first, or one core works alone at the end
}

// Runs the jobs on all cores; each worker loads the compiler once.
function runAll(jobs, compiler) {
  const results = new Array(jobs.length);
  let next = 0;
  const work = () =>
    new Promise((resolve, reject) => {
      const worker = new Worker(__filename, { workerData: { compiler } });
      const give = () => {
        if (next < jobs.length) return worker.postMessage({ index: next, job: jobs[next++] });
        worker.terminate();
        resolve();
      };
      worker.on("message", ({ index, output }) => {
        results[index] = output;
        give();
      });
      worker.on("error", reject);
      give();
    });
  const workers = Math.min(jobs.length, os.availableParallelism());
  return Promise.all(Array.from({ length: workers }, work)).then(() => results);
}

function merge(parts) {
  const merged = { errors: [], contracts: {}, sources: {} };
  const seen = new Set();
  for (const { files, output } of parts) {
    for (const error of output.errors ?? []) {
      if (!seen.has(error.formattedMessage)) merged.errors.push(error);
      seen.add(error.formattedMessage);
    }
    for (const file of files) {
      if (output.contracts?.[file]) merged.contracts[file] = output.contracts[file];
      if (output.sources?.[file]) merged.sources[file] = output.sources[file];
    }
  }
  return merged;
}

const isClean = (output) => !(output.errors ?? []).some((error) => error.severity === "error");

function remember(cache, key, text) {
  const draft = path.join(cache, `${key}.${process.pid}`);
  fs.writeFileSync(draft, text);
  fs.renameSync(draft, path.join(cache, key)); // whole or not at all: several compilers may run at once
}

function recall(cache, key) {
  const file = path.join(cache, key);
  if (!fs.existsSync(file)) return undefined;
  fs.utimesSync(file, new Date(), new Date());
  return JSON.parse(fs.readFileSync(file, "utf8"));
}

function forgetOld(cache) {
  const oldest = Date.now() - KEEP_DAYS * 24 * 3600 * 1000;
  for (const name of fs.readdirSync(cache)) {
    const file = path.join(cache, name);
    if (fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs < oldest) fs.rmSync(file, { force: true });
  }
}

// The standard output for a standard input, as one compilation gives it, but for the numbers of sources and syntax tree
// nodes: those count within each unit.
async function compileUnits({ input, read, version, compiler, cache }) {
  fs.mkdirSync(cache, { recursive: true });
  const all = units(input, read, version).map((unit) => ({ ...unit, output: recall(cache, unit.key) }));
  const missing = all.filter((unit) => unit.output === undefined);
  const texts = await runAll(missing.map((unit) => unit.job), compiler);
  missing.forEach((unit, index) => {
    unit.output = JSON.parse(texts[index]);
    if (isClean(unit.output)) remember(cache, unit.key, texts[index]);
  });
  if (missing.length > 0) forgetOld(cache);
  return merge(all);
}

if (isMainThread) {
  module.exports = { canSplit, compileUnits };
} else {
  const solc = require(workerData.compiler);
  parentPort.on("message", ({ index, job }) => {
    // no reader of files: a source that `closure` missed must be an error, or the hash would not cover it
    parentPort.postMessage({ index, output: solc.compile(job) });
  });
}
