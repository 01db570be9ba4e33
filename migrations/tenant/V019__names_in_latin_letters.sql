-- Most desks have keyboards with Latin letters, and many names are written in others: `sharma` is to find सीमा शर्मा too. So what is
-- searched has such a name as it is usually spelt in Latin letters beside it.

-- A name in any of the nine scripts of India that have a block of Unicode each, all in the same order (Devanagari, Bengali, Gurmukhi,
-- Gujarati, Odia, Tamil, Telugu, Kannada, Malayalam), in Latin letters: letter by letter, and as people spell it where that differs
-- (`sima seema`, `kulakarni kulkarni`, `lata latha`). Null for a name in other letters. Slips are for the search to forgive.
create function latin_spellings(name text) returns text language plpgsql immutable strict parallel safe as $$
declare
  -- By the place in a block, from 1. N: a nasal that goes with what follows. A: the vowel that a consonant has unless a sign takes it
  -- away (<). T, R, Z, Y: consonants whose spelling differs from place to place. ~: turns the consonant before into another.
  sounds constant text[] := array[
    'N', 'N', 'h', 'a', 'a', 'a', 'i', 'ii', 'u', 'uu', 'ri', 'li', 'e', 'e', 'e', 'ai', 'o', 'o', 'o', 'au',
    'kA', 'khA', 'gA', 'ghA', 'ngA', 'chA', 'chhA', 'jA', 'jhA', 'YA', 'tA', 'thA', 'dA', 'dhA', 'nA',
    'TA', 'thA', 'dA', 'dhA', 'nA', 'nA', 'pA', 'phA', 'bA', 'bhA', 'mA', 'yA', 'rA', 'RA', 'lA', 'lA', 'ZA', 'vA',
    'shA', 'shA', 'sA', 'hA', '', '', '~', '',
    '<a', '<i', '<ii', '<u', '<uu', '<ri', '<ri', '<e', '<e', '<e', '<ai', '<o', '<o', '<o', '<au', '<'];
  chillus constant text[] := array['n', 'n', 'r', 'l', 'l', 'k']; -- Malayalam's consonants without a vowel, U+0D7A to U+0D7F
  consonant constant text := '(?:chh|[kgcjTtdpbs]h|[b-df-hj-np-tv-zTY])';
  southern constant boolean := name ~ '[\u0B80-\u0D7F]'; -- Tamil, Telugu, Kannada, Malayalam
  spoken text;
  usual text;
begin
  if name !~ '[\u0900-\u0D7F]' then
    return null;
  end if;
  select string_agg(
           case
             when code not between x'0900'::int and x'0D7F'::int then letter
             when code between x'0D7A'::int and x'0D7F'::int then chillus[code - x'0D79'::int]
             -- What one block has of its own.
             when code = x'0D57'::int then '<au'                      -- Malayalam
             when code = x'0A70'::int then 'N'                        -- Gurmukhi
             when code = x'0B5F'::int then 'yA'                       -- Odia
             when code in (x'0B71'::int, x'09F1'::int) then 'vA'      -- Odia, Assamese
             when code = x'09F0'::int then 'rA'                       -- Assamese
             when code = x'09CE'::int then 'T'                        -- Bengali
             when code = x'0972'::int then 'a'                        -- Marathi
             else coalesce(sounds[code % 128], '')
           end, '' order by place)
    into spoken
    from (select place, letter, ascii(letter) as code
          -- Without the joiners that only say how to draw a letter.
          from string_to_table(translate(lower(name), U&'\200C\200D', ''), null) with ordinality as c (letter, place)) as c;
  spoken := replace(replace(replace(spoken, 'phA~', 'fA'), 'jA~', 'zA'), 'dA~', 'rA');
  spoken := replace(replace(replace(spoken, '~', ''), 'A<', ''), '<', '');
  spoken := regexp_replace(spoken, 'N(?=[pbm])', 'm', 'g');
  spoken := replace(replace(spoken, 'Yj', 'nj'), 'ngk', 'nk');

  if southern then
    spoken := regexp_replace(spoken, 'N\M', 'm', 'g');
    if name ~ '[\u0B80-\u0BFF\u0D00-\u0D7F]' then -- Tamil and Malayalam write as p and t what they say as b and d here
      spoken := replace(replace(spoken, 'mp', 'mb'), 'nt', 'nd');
    end if;
    spoken := replace(replace(spoken, 'RR', 'tt'), 'nR', 'nt');
    usual := replace(replace(replace(replace(spoken, 'T', 'th'), 'Y', 'nj'), 'ph', 'f'), 'au', 'ou');
    if name ~ '[\u0B80-\u0BFF]' then
      usual := replace(replace(replace(usual, 'chch', 'C'), 'ch', 's'), 'C', 'ch'); -- Tamil has one letter for both
    end if;
    usual := regexp_replace(usual, 'ay[aA]r\M', 'air', 'g'); -- Nair
  else
    -- In the north the vowel is not spoken at the end of a word, nor between two consonants that have others around them.
    spoken := regexp_replace(spoken, '(?<=[aeiouA])(' || consonant || ')A\M', '\1', 'g');
    usual := replace(replace(spoken, 'Nh', 'ngh'), 'jY', 'gy');
    usual := regexp_replace(usual, '([aeiou]' || consonant || ')A(?=' || consonant || '[aeiouA])', '\1', 'g');
    usual := regexp_replace(usual, '(?<=\w)v(?=[aA])', 'w', 'g');
  end if;
  usual := regexp_replace(regexp_replace(usual, 'ii(?!\M)', 'ee', 'g'), 'uu(?!\M)', 'oo', 'g');

  return (
    select string_agg(distinct regexp_replace(
             replace(translate(replace(replace(spelling, 'ii', 'i'), 'uu', 'u'), 'NATRY', 'natrn'), 'Z', 'zh'),
             '(ch|th|sh|ng|nj)\1', '\1', 'g'), ' ')
    from unnest(array[spoken, usual]) as spelling
  );
end
$$;

alter table patients drop column name_folded; -- and with it patients_name_search
alter table patients add column name_folded text not null
  generated always as (lower(full_name) || coalesce(' ' || latin_spellings(full_name), '')) stored;
create index patients_name_search on patients using gin (name_folded gin_trgm_ops) with (fastupdate = off) where deleted_at is null;

update clinic_identity set schema_level = 19; -- names are found in one more way: older binaries may go on
