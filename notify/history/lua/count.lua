-- include: notify.history.count
-- Counts what a process has noticed by itself, such as gaps.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    ...  by turns: a field, and a number of at least 1; see count_up()
-- returns nothing
local FIRST_FIELD = 1
for i = FIRST_FIELD, #ARGV, 2 do
  count_up(ARGV[i], tonumber(ARGV[i + 1]))
end
