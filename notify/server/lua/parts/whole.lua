-- Whole numbers that were read from a field, a member of JSON or a score: anybody may have written there what is no number.
--
-- whole(value, default, least, most) -> the number if it is a whole one within the bounds, else the default
--   value        text, a number or false; also the error that redis.pcall() returns for a key of another type
--   default      what counts instead; nil if the caller decides
--   least, most  bounds, by default 0 and the largest number that Lua holds exactly
-- tonumber() is not for fields: it takes "nan", "inf", "1e999" and "0x10". With nan, Redis refuses the next command of the script.
local LARGEST = 9007199254740991

local function whole(value, default, least, most)
  if type(value) == 'string' and #value <= 17 and string.find(value, '^%-?%d+$') then
    value = tonumber(value)
  end
  if type(value) ~= 'number' or value ~= math.floor(value) then return default end -- nan is not equal to itself
  if value < (least or 0) or value > (most or LARGEST) then return default end
  return value
end
