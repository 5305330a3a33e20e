-- include: notify.server.now
-- include: notify.directory.presence
-- Checks the fences of a write. A fence stands while a field of a hash holds a value; otherwise it has fallen, and nothing is written.
-- The fence of a service stands only while the service is not overdue as well.
--
-- KEYS of the script   what is written, then the hash of each fence
-- ARGV of the script   for each fence a field of its hash, and the value that the field must hold, or "*" if any value will do; then
--                      the name of the service that the hash describes, or ""
-- fallen()  -> the number of the first fence that has fallen, nil if all stand
-- OWN       where the arguments of the script itself begin, after those of the fences
local FIRST_FENCE = 2
local OWN = 3 * (#KEYS - 1) + 1
local function fallen()
  for i = FIRST_FENCE, #KEYS do
    local number = i - FIRST_FENCE + 1
    local field, value, its_service = unpack(ARGV, 3 * number - 2, 3 * number)
    local found = redis.call('HGET', KEYS[i], field)
    if not found or (value ~= '*' and found ~= value) then return number end
    if its_service ~= '' then
      local _, is_there = heard_of(KEYS[i], now_ms())
      if not is_there then return number end
    end
  end
end
