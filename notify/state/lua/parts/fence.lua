-- Included by every fenced write ("-- include: fence"); it is not run by itself.
--
-- KEYS    1 what is written  2... the hash of each fence
-- ARGV    1... for each fence: a field of its hash, and what that must hold, or "*" if it need only be there
-- fallen()  -> the number of the first fence that has fallen, nil if all stand
-- REST      how many of the arguments are those of the fences
local REST = 2 * (#KEYS - 1)
local function fallen()
  for i = 2, #KEYS do
    local found, value = redis.call('HGET', KEYS[i], ARGV[2 * i - 3]), ARGV[2 * i - 2]
    if not found or (value ~= '*' and found ~= value) then return i - 1 end
  end
end
