-- Fills in the body of an event that announces a change of the directory.
--
-- fill(body, values) -> the body with each value, as JSON, in the first place of "@name@"; in a body, users' texts come after it
-- list_or_none(json) -> the JSON if it looks like a list, else an empty list: a field that was spoilt by hand must not spoil the event
-- announcement(body, name, incarnation, provides, groups) -> the body, filled with these values of a service
local function fill(body, values)
  return (string.gsub(body, '"@(%l+)@"', function(name)
    local value = values[name]
    values[name] = nil
    return value
  end))
end

local function list_or_none(json)
  return json and string.match(json, '^%[.*%]$') or '[]'
end

local function announcement(body, name, incarnation, provides, groups)
  local quoted = '"' .. string.gsub(name, '[\\"]', '\\%0') .. '"'  -- a name holds no other character that JSON would escape
  return fill(body, {service = quoted, incarnation = incarnation, provides = list_or_none(provides), groups = list_or_none(groups)})
end
