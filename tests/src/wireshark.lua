local onetap = Proto("onetap", "OneTap card")
local field_command = ProtoField.string("onetap.command", "Command")
local field_object = ProtoField.string("onetap.object", "Data object")
local field_status = ProtoField.string("onetap.status", "Status")
onetap.fields = { field_command, field_object, field_status }

local dissector = Field.new("exported_pdu.prot_name")
local direction = Field.new("exported_pdu.p2p_dir")
local tag = Field.new("exported_pdu.tag")

-- The APDU stands behind the tagged values, of which the last is of no length.
local function behind_the_tags(buffer)
  local at = 0
  while at + 4 <= buffer:len() do
    local number, length = buffer(at, 2):uint(), buffer(at + 2, 2):uint()
    at = at + 4 + length
    if number == 0 then
      return at < buffer:len() and buffer(at):tvb() or nil
    end
  end
end

-- Data objects by their names, one in another.
local function objects_in(range, tree, depth)
  local at, size = 0, range:len()
  while at < size and depth < 8 do
    local first, start = range(at, 1):uint(), at
    local number = first
    at = at + 1
    if first % 32 == 31 and at < size then
      number = first * 256 + range(at, 1):uint()
      at = at + 1
    end
    if at >= size then return end
    local length = range(at, 1):uint()
    at = at + 1
    if length > 128 then
      local bytes = length - 128
      if bytes > 2 or at + bytes > size then return end
      length = range(at, bytes):uint()
      at = at + bytes
    end
    if at + length > size then return end
    local name = objects[number]
    if name == nil then return end
    local whole = range(start, at + length - start)
    local value = length > 0 and range(at, length) or nil
    local is_template = math.floor(first / 32) % 2 == 1
    local text = name
    if value ~= nil and not is_template then text = name .. ": " .. tostring(value:bytes()) end
    local item = tree:add(field_object, whole, text)
    if value ~= nil and is_template then objects_in(value, item, depth + 1) end
    at = at + length
  end
end

-- Where the data field of a command is: behind a length of one byte, or of three.
local function data_of(apdu)
  if apdu:len() < 7 then return nil end
  local length, start = apdu(4, 1):uint(), 5
  if length == 0 then length, start = apdu(5, 2):uint(), 7 end
  if length == 0 or start + length > apdu:len() then return nil end
  return apdu(start, length)
end

local function command(apdu, tree, info)
  if apdu:len() < 4 then return end
  local class = apdu(0, 1):uint()
  -- Bit 5 says that the chain goes on.
  if math.floor(class / 16) % 2 == 1 then class = class - 16 end
  local name = commands[class * 256 + apdu(1, 1):uint()]
  if name == nil then return end
  tree:add(field_command, apdu(0, 4), name)
  info.cols.info:append(" [" .. name .. "]")
  local data = data_of(apdu)
  if data ~= nil then objects_in(data, tree, 0) end
end

local function response(apdu, tree, info)
  local size = apdu:len()
  if size < 2 then return end
  local status = apdu(size - 2, 2)
  local meaning = meanings[status:uint()] or classes[apdu(size - 2, 1):uint()]
  if meaning ~= nil then
    tree:add(field_status, status, meaning)
    info.cols.info:append(" [" .. meaning .. "]")
  end
  if size > 2 then objects_in(apdu(0, size - 2), tree, 0) end
end

function onetap.dissector(buffer, info, tree)
  local name, way = dissector(), direction()
  if name == nil or way == nil or tag() == nil or name.value ~= "iso7816" then return end
  local apdu = behind_the_tags(buffer)
  if apdu == nil then return end
  local item = tree:add(onetap, apdu())
  if way.value == 0 then command(apdu, item, info) else response(apdu, item, info) end
end

register_postdissector(onetap)
