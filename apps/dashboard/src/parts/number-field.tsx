/** A number that somebody types; what is no number in range is not taken. */
import { useState } from 'preact/hooks';

export interface NumberFieldProps {
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step?: number;
  readonly onChange: (value: number) => void;
}

export function NumberField({ label, value, min, max, step = 1, onChange }: NumberFieldProps) {
  const [text, setText] = useState(String(value));
  const isGood = (number: number) => Number.isFinite(number) && number >= min && number <= max;
  const take = (typed: string) => {
    setText(typed);
    const number = Number(typed);
    if (typed.trim() !== '' && isGood(number)) onChange(step === 1 ? Math.round(number) : number);
  };
  return (
    <label class="field">
      {label}
      <input
        type="number"
        inputMode="decimal"
        min={min}
        max={max}
        step={step}
        value={text}
        onInput={(event) => take(event.currentTarget.value)}
        onBlur={() => setText(String(value))}
      />
    </label>
  );
}
