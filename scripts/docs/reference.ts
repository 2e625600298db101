/** The reference in Markdown, which TypeDoc makes from the doc comments. */

import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  Application,
  type Comment,
  CommentTag,
  type DeclarationReflection,
  ReflectionKind,
  type SignatureReflection,
  type TypeDocOptions,
} from "typedoc";
import { root } from "../build.ts";

/** The entries of the package: the name that a program imports, and the file that TypeDoc reads. */
const entries = [
  {
    name: "plait",
    file: "index.ts",
    about: "Sockets, listeners, fibers, readers and writers, TLS, clusters.",
  },
  {
    name: "plait/net",
    file: "scripts/docs/net_reference.ts",
    about:
      "The surface of `node:net` on plait's sockets. [plait/net](../../../docs/net.md) has the differences.",
  },
  {
    name: "plait/drivers",
    file: "src/drivers/drivers.ts",
    about:
      "What lets drivers of databases and brokers use plait's sockets: see [Drivers](../../../docs/drivers.md).",
  },
  {
    name: "plait/load",
    file: "src/load/load.ts",
    about: "Load testing: see [Load testing](../../../docs/load.md).",
  },
  {
    name: "plait/load/report",
    file: "src/report/report.ts",
    about:
      "What shows, writes, reads and merges reports of load tests: see [Reports of load tests](../../../../docs/load_reports.md).",
  },
] as const;

export type EntryName = (typeof entries)[number]["name"];

export interface ReferencePage {
  readonly entry: EntryName;
  /** The page's path below `reference`, such as `plait/classes/Socket.md`. */
  readonly path: string;
  /** The exported name, or undefined for the page of the entry. */
  readonly name: string | undefined;
  /** What kind of export it is, in the plural: `Classes`. */
  readonly kind: string;
  readonly markdown: string;
}

export async function referencePages(folder: string): Promise<ReferencePage[]> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const options: TypeDocOptions = {
    plugin: ["typedoc-plugin-markdown"],
    entryPoints: entries.map(({ file }) => join(root, file)),
    tsconfig: join(root, "scripts", "docs", "reference.tsconfig.json"),
    basePath: root,
    out: folder,
    readme: "none",
    router: "member",
    sort: ["source-order"],
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    excludeProtected: true,
    disableSources: true,
    preservedTypeAnnotationTags: ["@throws"],
    githubPages: false,
    logLevel: "Warn",
  };
  const ofPlugin = {
    hidePageHeader: true,
    hideBreadcrumbs: true,
    useCodeBlocks: true,
    indexFormat: "table",
    expandParameters: true,
    entryFileName: "index",
  };
  const application = await Application.bootstrapWithPlugins({ ...options, ...ofPlugin });
  const project = await application.convert();
  if (project === undefined) throw new Error("TypeDoc has failed");
  for (const module of project.children ?? []) {
    const entry = entries.find(({ file }) => file === `${module.name}.ts`);
    if (entry === undefined) throw new Error(`TypeDoc has found an entry more: ${module.name}`);
    module.name = entry.name;
    module.comment = undefined;
  }
  for (const reflection of Object.values(project.reflections)) {
    const { comment } = reflection as DeclarationReflection | SignatureReflection;
    if (comment !== undefined) gatherThrows(comment);
    if (reflection.kindOf(ReflectionKind.Class))
      leaveOutHidden(reflection as DeclarationReflection);
  }
  await application.generateOutputs(project);
  if (application.logger.hasErrors()) throw new Error("TypeDoc has failed");
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const sorted = paths.filter((path) => path.endsWith(".md") && path !== "index.md").sort();
  const pages = sorted.map((path) => pageOf(path, readFileSync(join(folder, path), "utf8")));
  return entries.flatMap(({ name }) => pages.filter(({ entry }) => entry === name));
}

function pageOf(path: string, text: string): ReferencePage {
  const own = entries.findLast(({ name }) => path.startsWith(`${name}/`))!;
  const entry = own.name;
  const isEntry = path === `${entry}/index.md`;
  const [, kind = ""] = /([\w-]+)\/[^/]+$/.exec(path)!;
  const title = isEntry ? `# ${entry}\n\n${own.about}` : undefined;
  return {
    entry,
    path,
    name: isEntry ? undefined : path.slice(path.lastIndexOf("/") + 1, -".md".length),
    kind: kind.replace("-", " ").replace(/^./, (first) => first.toUpperCase()),
    markdown: tidied(title === undefined ? text : text.replace(/^# .*$/m, title)),
  };
}

/** Makes one list of all `@throws` of a comment, each with the classes of the errors. */
function gatherThrows(comment: Comment): void {
  const tags = comment.getTags("@throws");
  if (tags.length === 0) return;
  comment.removeTags("@throws");
  const list = new CommentTag("@throws", []);
  for (const { typeAnnotation = "", content } of tags) {
    const text = content.map(({ text }) => text).join("");
    // `@throws {A} {B} for ...` names two classes.
    const further = [...(/^(\{\w+\}\s*)+/.exec(text)?.[0] ?? "").matchAll(/\w+/g)].map(String);
    const classes = [...typeAnnotation.matchAll(/\w+/g)].map(String).concat(further);
    const when = text
      .replace(/^(\{\w+\}\s*)+/, "")
      .trim()
      .replaceAll(/\s*\n\s*/g, " ");
    const names = classes.map((name) => `\`${name}\``).join(", ");
    const line = [names, when].filter((part) => part !== "").join(": ");
    list.content.push({ kind: "text", text: `- ${line}\n` });
  }
  comment.blockTags.push(list);
}

/** Leaves out the members that users do not call: those whose names begin with an underscore. */
function leaveOutHidden(reflection: DeclarationReflection): void {
  for (const child of reflection.children ?? []) {
    if (child.name.startsWith("_")) child.project.removeReflection(child);
  }
}

/** Leaves out what says nothing to a reader: base classes that are not exported, types said twice. */
function tidied(markdown: string): string {
  return (
    markdown
      .replaceAll(
        /^#+ (Inherited from|Overrides|Implementation of|Extends|Extended by|Implements)\n\n[\s\S]*?(?=^#|^\*\*\*|(?![\s\S]))/gm,
        "",
      )
      .replaceAll(/^#### Get Signature\n\n([\s\S]*?)^##### Returns\n\n.*\n/gm, "$1")
      .replaceAll(/^\*\*\*\n/gm, "")
      // A type parameter without a constraint has its name again for a type.
      .replaceAll(/^#+ Type Parameters\n\n(?:#+ (\w+)\n\n`\1`\n+)+(?=^#)/gm, "")
      .replaceAll(/\n{3,}/g, "\n\n")
  );
}
