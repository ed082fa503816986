/** Over. */
export function over(a: string): string;
export function over(a: number): number;
export function over(a: any): any { return a; }

/** Shape of it */
export interface Shape<T> { area(scale: number): number; name: string }

/** A callback */
export type Fn = (a: string) => void;

/** Makes a promise. */
export const gen = <T extends { a: (x: 1) => void }>(a: T, cb: (x: T) => void = () => {}): Promise<T> => { return x; };

export const typed: Handler<string> = async (event, context) => { };

const arrow: (a: string) => void = (a: string) => { console.log(a); };

export enum Colour { Red = f(1), Blue }

/**
 * A component.
 *
 * <b>Bold</b> words.
 */
@Component({ selector: "a(", providers: [{ provide: X }] })
export abstract class C<T extends D<T>> extends E<T>(F) {
  /** Makes. */
  constructor(private readonly a: string, @Inject(X) b?: T) {}

  /** Gets it */
  @Input({ required: true })
  get value(): string { return ""; }

  public async run<K>(this: C<T>, key?: K): Promise<void> { }
  handler: Handler = (e: Event) => { };
}
