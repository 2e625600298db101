/** A file that is embedded as it is; the import's value is its path at run time. */
declare module "*.so" {
  const path: string;
  export default path;
}
