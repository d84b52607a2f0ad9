-- Names what OneTap cards say, in captures that `onetap trace export --to pcap` wrote. Made by `make docs`.
-- wireshark -X lua_script:onetap.lua FILE, or put it into the folder of personal plugins.

local commands = {
  [0x00A4] = "SELECT",
  [0x00C0] = "GET RESPONSE",
  [0x00CA] = "GET DATA",
  [0x8030] = "PUT TXN",
  [0x8032] = "GET SIGNATURE",
  [0x8034] = "GET ENC-PASSWORD",
  [0x8050] = "INITIALIZE UPDATE",
  [0x8082] = "EXTERNAL AUTHENTICATE",
  [0x80CA] = "GET DATA",
  [0x80D8] = "PUT KEY",
  [0x80E2] = "STORE DATA",
  [0x80E4] = "DELETE",
  [0x80E6] = "INSTALL",
  [0x80E8] = "LOAD",
  [0x80F0] = "SET STATUS",
  [0x80F2] = "GET STATUS",
}

local objects = {
  [0x5F2A] = "transaction currency code (ISO 4217)",
  [0x5F3D] = "digital signature",
  [0x5F53] = "payee account",
  [0x6F] = "FCI template",
  [0x84] = "application identifier (AID)",
  [0x9A] = "transaction date, UTC",
  [0x9C] = "transaction type",
  [0x9F02] = "amount, authorised, in minor units",
  [0x9F08] = "application version number",
  [0x9F1C] = "terminal identification",
  [0x9F21] = "transaction time, UTC",
  [0x9F24] = "payer alias (payment account reference)",
  [0x9F37] = "unpredictable number of the terminal",
  [0x9F4E] = "payee name (merchant name)",
  [0xA5] = "FCI proprietary template",
  [0xDF20] = "reference",
  [0xDF21] = "details (optional)",
  [0xDF22] = "header H",
  [0xDF23] = "encrypted joint password E",
  [0xDF24] = "digest of E, D(E)",
  [0xDF25] = "keyed digest of the joint password, D(pw)",
  [0xDF26] = "card status: state, unconfirmed transactions, flags",
  [0xE1] = "transaction message T (template)",
  [0xE2] = "signature message (template)",
}

local meanings = {
  [0x6581] = "the card could not write its memory; nothing is pending, a counter value may be spent",
  [0x6700] = "malformed APDU, data where none belongs or none where some belongs, chain too long",
  [0x6881] = "a logical channel that is not open",
  [0x6882] = "secure messaging indicated in CLA",
  [0x6883] = "another command came before the last one of a chain; the chain is dropped",
  [0x6884] = "this command cannot be chained",
  [0x6983] = "the PIN is blocked; the card signs nothing until its issuer unblocks it",
  [0x6985] = "not in this state: no application selected, wrong order, a transaction waits on the display, too many unconfirmed transactions, or the counter is used up",
  [0x6A80] = "the transaction message is not canonical, a field is out of range or cannot be displayed",
  [0x6A82] = "no application of that name",
  [0x6A86] = "wrong P1-P2",
  [0x6A88] = "no such data object, or the card's profile owes none",
  [0x6D00] = "unknown instruction",
  [0x6E00] = "unknown class",
  [0x6F00] = "the card failed inside; nothing is pending, a counter value may be spent",
  [0x9000] = "done",
}

local classes = {
  [0x61] = "done; xx more bytes wait (00: 256 or more)",
  [0x6C] = "wrong Le; xx is the right one (00: 256)",
}

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
