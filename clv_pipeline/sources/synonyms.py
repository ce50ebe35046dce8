"""What shops call our columns: names in several languages, and words of statuses.

This module only holds words. `guess` decides with the values too.
"""

import re
import unicodedata


def plain(name: str) -> str:
    """A name without case, accents, spaces and punctuation, as the words below are compared."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if letter.isalnum() and not unicodedata.combining(letter))


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(plain(word) for word in text.split()))


CUSTOMER_IDS = _words(
    """
    customerid customeruniqueid customernumber customerno customernr customerkey customercode
    customerref customer custid custno custnumber custkey custcode cust clientid clientnumber clientno
    clientcode client userid usernumber user buyerid buyer memberid membernumber memberno member
    accountid accountnumber accountno account shopperid shopper contactid contact householdid
    householdkey household playerid player donorid donornumber donor patronid patron loyaltyid
    loyaltynumber loyaltycard cardid cardnumber subscriberid subscriber personid person consumerid
    consumer guestid idcustomer idclient iduser kundennummer kundennr kundenid kundenkey kundenkonto
    kunde debitor debitornr debitorennummer debitorennr käufer käuferid mitgliedsnummer mitgliedsnr
    mitglied benutzer benutzerid numeroclient numclient noclient codeclient refclient nclient ncliente acheteur adhérent
    idcliente clienteid codigocliente codcliente numerocliente nrocliente cliente comprador
    codicecliente acquirente códigodocliente klantid klantnummer klantnr klantcode klant kundid
    kundnummer kundnr kund kundenummer asiakas asiakasnumero klient idklienta nrklienta klientid
    zákazník müşteri müşterino müşteriid клиент клиентid idклиента кодклиента покупатель 顧客 顧客id
    顧客番号 顧客コード 会員 会員id 会員番号 客户 客户id 客户编号 用户 用户id 会员id 고객 고객id
    고객번호 회원번호
    """
)
EMAILS = _words(
    """
    customeremail customeremailaddress buyeremail clientemail billingemail contactemail useremail email
    emailaddress mail emailid kundenemail kundenmail courriel correo correoelectronico emailcliente
    emaildocliente
    """
)
CUSTOMER_NAMES = _words(
    """
    customername customerfullname clientname buyername username membername kundenname nomclient
    nombrecliente nomecliente klantnaam billtoname billingname billingfullname
    """
)

DATES = _words(
    """
    orderedat ordereddate orderedon orderdate orderdatetime ordertime orderdatekey
    orderpurchasetimestamp orderts purchasedat purchasedate purchasedatetime purchasetime
    purchasetimestamp invoicedate invoicedatetime transactiondate transactiondatetime transactiontime
    transactiontimestamp transdate trandate txndate saledate saledatetime salesdate solddate soldat
    paymentdate paymenttime receiptdate basketdate donationdate giftdate bookingdate visitdate createdat
    createddate createddateutc createdutc createdon created dateordered dateofpurchase dateoforder
    datetime timestamp eventtime eventts date time day dt ts bestelldatum auftragsdatum kaufdatum
    rechnungsdatum belegdatum buchungsdatum verkaufsdatum bestelltam erstelltam datum zeitpunkt zeit tag
    datecommande datedecommande dateachat datedachat datefacture datevente fechapedido fechadepedido
    fechacompra fechadecompra fechafactura fechaventa fecha dataordine dataacquisto datafattura
    datavendita datapedido datadopedido datacompra datadacompra data besteldatum aankoopdatum
    factuurdatum orderdatum köpdatum bestillingsdato ordredato købsdato dato datazamówienia datazakupu
    dataobjednávky siparistarihi tarih датазаказа датапокупки дата 注文日 注文日時 購入日 購入日時 日付
    日時 订单日期 下单时间 购买日期 日期 주문일 주문일자 구매일 날짜
    """
)
"""The likeliest first."""

ORDERS = _words(
    """
    orderid ordernumber orderno ordernr orderkey orderref orderreference ordercode order
    salesordernumber salesorderid salesorder invoiceid invoiceno invoicenumber invoicenr invoice
    transactionid transactionno transactionnumber transaction transid txnid receiptid receiptno
    receiptnumber receipt basketid basket cartid saleid purchaseid ticketid ticketno ponumber documentno
    documentnumber billno bestellnummer bestellnr bestellid bestellung auftragsnummer auftragsnr auftrag
    rechnungsnummer rechnungsnr rechnung belegnummer belegnr bonnummer bonnr vorgang ncommande numerocommande
    nocommande idcommande commande numerofacture facture ticket numeropedido nropedido idpedido pedido
    numerofactura factura numeroordine idordine ordine fattura numerodopedido bestelnummer factuurnummer
    ordrenummer beställningsnummer numerzamówienia nrzamówienia siparisno номерзаказа заказ 注文番号
    注文id 订单号 订单编号 订单id 주문번호
    """
)
PRODUCTS = _words(
    """
    productid productkey productcode productnumber productno productsku product stockcode sku skuid
    itemid itemcode itemnumber itemno itemsku item articleid articleno articlenumber article ean gtin
    upc asin materialno lineitemsku productname itemname itemtype artikelnummer artikelnr artikelid
    artikel produktnummer produktid produkt warennummer codeproduit refproduit produit référence
    codigoproducto producto codiceprodotto prodotto codigoproduto produto productnummer towar
    produktnamn товар артикул 商品 商品id 商品番号 商品コード 产品 产品id 상품 상품번호
    """
)
QUANTITIES = _words(
    """
    quantity qty quantityordered orderqty orderquantity units unitssold unitsordered numberofunits
    numberofitems numberofcds itemcount itemquantity count pieces pcs lineitemquantity quantitysold
    qtysold qtyordered menge anzahl stück stückzahl bestellmenge quantité qté nombre cantidad unidades
    quantità quantidade qtd aantal antal ilość liczba adet miktar количество 数量 個数 수량
    """
)
PRICES = _words(
    """
    unitprice price itemprice priceperunit priceeach sellingprice salesprice saleprice unitcost
    lineitemprice listprice einzelpreis stückpreis preis vk vkpreis prixunitaire pu prix preciounitario
    precio prezzounitario prezzo preçounitário preço stuksprijs prijs styckpris pris cenajednostkowa
    cena birimfiyat fiyat цена 単価 価格 单价 价格 단가
    """
)
NET = _words(
    """
    net nett netamount netsales netrevenue nettotal netvalue amountnet totalnet subtotal amountexcltax
    amountextax totalexcltax nettobetrag netto nettoumsatz nettosumme betragnetto montantht totalht ht
    importeneto neto importonetto nettobedrag
    """
)
"""Money without tax, or after discounts."""
AMOUNTS = (
    *NET,
    *_words(
        """
    amount totalamount orderamount lineamount linetotal saleamount salesamount purchaseamount
    transactionamount tranamount transamount txnamount ordertotal totalprice totalvalue ordervalue total
    totalsales totalrevenue revenue itemrevenue sales salesvalue salevalue spend totalspend paymentvalue
    paymentamount payment dollarvalue value extendedprice grossamount grosssales grandtotal gross
    donationamount donation giftamount gift amountpaid paid gmv turnover invoiceamount invoicetotal
    basketvalue moneyspent betrag gesamtbetrag gesamtpreis rechnungsbetrag bestellwert umsatz
    umsatzbrutto bruttobetrag summe gesamt wert spende montant montanttotal montantttc prixtotal
    chiffredaffaires ca importe importetotal monto montototal valor valortotal venta ventas ingresos
    importo totale ricavo fatturato receita venda bedrag totaalbedrag totaal omzet belopp summa beløb
    kwota wartość tutar toplam ciro сумма стоимость выручка 金額 合計 合計金額 売上 売上金額 金额 总金额
    总价 销售额 금액 합계 매출
    """
    ),
)
REFUNDS = _words(
    """
    refundedamount amountrefunded refundamount totalrefunded refundedtotal refundtotal refundedvalue refundvalue
    moneyrefunded amountreturned returnedamount erstattungsbetrag erstatteterbetrag montantrembourse importereembolsado
    """
)
"""What was paid back of the money of a row."""
COUNTRIES = _words(
    """
    country countrycode countryname shipcountry shippingcountry shiptocountry billingcountry
    customercountry nation land lieferland rechnungsland pays país paese kraj ülke страна 国 国家 국가
    """
)
CURRENCIES = _words(
    """
    currency currencycode ordercurrency paymentcurrency currencyiso währung währungscode devise moneda
    divisa valuta moeda waluta para parabirimi валюта 通貨 币种 통화
    """
)
STATUSES = _words(
    """
    status orderstatus financialstatus paymentstatus transactionstatus orderstate state paymentstate
    bestellstatus auftragsstatus zahlungsstatus statut statutcommande estado estadopedido stato
    statoordine situação durum статус ステータス 注文状況 状态 订单状态 상태
    """
)
EVENT_TYPES = _words("event eventtype eventname type action activity kind ereignis aktion")
EVENT_TIMES = _words(
    """
    occurredat eventtime eventtimestamp eventdate timestamp time datetime sessionstart sessionstartedat
    startedat visitedat sentat openedat clickedat createdat date day
    """
)

COUNTS = _words(
    """
    paid completed complete processing shipped delivered fulfilled partiallyshipped partiallyrefunded
    partiallypaid partiallyfulfilled closedwon success successful succeeded settled captured invoiced
    approved sold sale purchase payment inprocess unshipped shipping bezahlt versendet versandt
    abgeschlossen geliefert erledigt payée expédiée livrée terminée pagado enviado entregado completado
    pagato spedito consegnato betaald verzonden
    """
)
"""Statuses of what was sold."""
DOES_NOT_COUNT = _words(
    """
    cancelled canceled failed voided void pending pendingpayment refunded declined rejected expired
    abandoned draft checkoutdraft trash unpaid authorized onhold test fraud suspectedfraud error
    chargeback reversed uncaptured deleted storniert abgebrochen fehlgeschlagen offen ausstehend
    erstattet rückerstattet annulée remboursée échouée enattente cancelado cancelada pendiente
    reembolsado fallido annullato annullata rimborsato inattesa geannuleerd terugbetaald
    """
)
"""Statuses of what brought no money, or gave it back."""

MARKS = _words(
    """
    cancelled canceled iscancelled iscanceled wascancelled ordercancelled void voided isvoid isvoided deleted isdeleted
    refunded isrefunded returned isreturned test istest testorder istestorder fraud isfraud isfraudulent storniert
    storno istorniert annulée annulé cancelado anulado annullato geannuleerd
    """
)
"""Columns that mark rows of what brought no money, with a yes or a no."""
YES = ("true", "t", "yes", "y", "1", "ja", "j", "oui", "si", "sì", "sí", "x")
NO = ("false", "f", "no", "n", "0", "nein", "non", "nee")
DAYS_OF_CANCELLATION = _words(
    """
    cancelledat canceledat cancelledon canceledon cancelleddate canceleddate canceldate canceledtime cancelledtime
    cancellationdate datecancelled datecanceled voidedat deletedat storniertam stornodatum dateannulation
    """
)
"""Columns with the day on which an order was cancelled, blank for all others."""

_CENTS = re.compile(r"(^|[^a-z])(cents?|pennies|pence|minor(_?units?)?)($|[^a-z])|(amount|price|total)(in)?cents$")


def sounds_like_cents(name: str) -> bool:
    """Whether a column's name says that it holds hundredths of the currency, as amount_cents or amountInCents does."""
    return _CENTS.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()) is not None
