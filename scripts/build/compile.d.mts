export declare function compiledFolder(name: string): URL;
export declare function compile(out: URL): boolean;
