-- Checks the fences of a write. A fence stands while a field of a hash holds a value; otherwise it has fallen, and nothing is written.
--
-- KEYS of the script   what is written, then the hash of each fence
-- ARGV of the script   for each fence a field of its hash, and the value that the field must hold, or "*" if any value will do
-- fallen()  -> the number of the first fence that has fallen, nil if all stand
-- OWN       where the arguments of the script itself begin, after those of the fences
local FIRST_FENCE = 2
local OWN = 2 * (#KEYS - 1) + 1
local function fallen()
  for i = FIRST_FENCE, #KEYS do
    local number = i - FIRST_FENCE + 1
    local found, value = redis.call('HGET', KEYS[i], ARGV[2 * number - 1]), ARGV[2 * number]
    if not found or (value ~= '*' and found ~= value) then return number end
  end
end
