-- Tells which jobs run side by side in one process, by the functions that they call.
--
-- rooms_of(json) -> how many calls of each such function may be taken, by its path
-- takes(rooms, data, only) -> whether a job may be taken, and whether its function is one of these
--   rooms  as from rooms_of(); a call that is taken is counted
--   data   the call of the job
--   only   whether other functions are not taken; else these are not
local function rooms_of(json)
  return cjson.decode(json)
end

local function takes(rooms, data, only)
  local path = string.match(data, '^%["([^"\\]+)"') or ''
  local left = rooms[path]
  if not only then return left == nil, left ~= nil end
  if not left or left <= 0 then return false, left ~= nil end
  rooms[path] = left - 1
  return true, true
end
