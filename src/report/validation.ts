/** Checks data against a schema of the kind of schema.ts. It knows what that schema uses, and nothing more. */

import type { Schema } from "./schema.ts";

/**
 * What is wrong with a value, in words such as `"iterations.due" is missing`; undefined if nothing is.
 *
 * @param root the schema whose `$defs` the references lead to
 */
export function fault(
  value: unknown,
  schema: Schema,
  root: Schema = schema,
  path = "",
): string | undefined {
  const { $ref } = schema;
  if ($ref !== undefined)
    return fault(value, root.$defs![$ref.replace("#/$defs/", "")]!, root, path);
  const allowed = schema.const === undefined ? schema.enum : [schema.const];
  if (allowed !== undefined && !allowed.some((one) => one === value)) {
    return `${named(path)} is ${shown(value)}, not ${allowed.map(shown).join(" or ")}`;
  }
  switch (schema.type) {
    case undefined:
      return undefined;
    case "object":
      return objectFault(value, schema, root, path);
    case "array":
      if (!Array.isArray(value)) return `${named(path)} is not a list`;
      return first(value, (item, index) => fault(item, schema.items!, root, `${path}[${index}]`));
    case "string":
    case "boolean":
      return typeof value === schema.type ? undefined : `${named(path)} is not a ${schema.type}`;
    default:
      return numberFault(value, schema, path);
  }
}

function objectFault(
  value: unknown,
  schema: Schema,
  root: Schema,
  path: string,
): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return `${named(path)} is not an object`;
  }
  const { required = [], properties = {}, additionalProperties } = schema;
  const missing = required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return `${named(joined(path, missing))} is missing`;
  return first(Object.entries(value), ([name, part]) => {
    const own = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    return own === undefined ? undefined : fault(part, own, root, joined(path, name));
  });
}

function numberFault(value: unknown, schema: Schema, path: string): string | undefined {
  if (typeof value !== "number") return `${named(path)} is not a number`;
  if (schema.type === "integer" && !Number.isSafeInteger(value)) {
    return `${named(path)} is ${value}, not a whole number`;
  }
  const { minimum = -Infinity } = schema;
  return value < minimum
    ? `${named(path)} is ${value}, and at least ${minimum} is right`
    : undefined;
}

/** The first fault of several parts. */
function first<Part>(
  parts: readonly Part[],
  faultOf: (part: Part, index: number) => string | undefined,
): string | undefined {
  for (const [index, part] of parts.entries()) {
    const found = faultOf(part, index);
    if (found !== undefined) return found;
  }
  return undefined;
}

function joined(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

function named(path: string): string {
  return path === "" ? "the file" : JSON.stringify(path);
}

/** A short value as JSON has it. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}
